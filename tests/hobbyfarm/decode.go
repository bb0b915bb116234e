// Decodes stored Sessions, one JSON object a line, as HobbyFarm does: into its types (v3/pkg/apis/hobbyfarm.io/v1), and
// its times with time.UnixDate. One value of another type, and HobbyFarm can decode none of the list. Exit code 1, and a line
// for each that cannot be read.
//
// HobbyFarm's session service never reads start_time, and nobody can repair one that is no time: its layout is not asked for.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

type Session struct {
	Spec   SessionSpec   `json:"spec"`
	Status SessionStatus `json:"status,omitempty"`
}

type SessionSpec struct {
	ScenarioId   string   `json:"scenario"`
	CourseId     string   `json:"course"`
	KeepCourseVM bool     `json:"keep_course_vm"`
	UserId       string   `json:"user"`
	VmClaimSet   []string `json:"vm_claim"`
	AccessCode   string   `json:"access_code"`
}

type SessionStatus struct {
	Paused         bool   `json:"paused"`
	PausedTime     string `json:"paused_time"`
	Active         bool   `json:"active"`
	Finished       bool   `json:"finished"`
	StartTime      string `json:"start_time"`
	ExpirationTime string `json:"end_time"`
}

func main() {
	lines, failed, read := bufio.NewScanner(os.Stdin), false, 0
	lines.Buffer(nil, 1<<20)
	fail := func(err error, line string) {
		fmt.Printf("%v: %s\n", err, line)
		failed = true
	}
	for lines.Scan() {
		read++
		var session Session
		if err := json.Unmarshal(lines.Bytes(), &session); err != nil {
			fail(err, lines.Text())
			continue
		}
		if _, err := time.Parse(time.UnixDate, session.Status.ExpirationTime); err != nil {
			fail(err, lines.Text())
		}
		if session.Status.Paused {
			if _, err := time.Parse(time.UnixDate, session.Status.PausedTime); err != nil {
				fail(err, lines.Text())
			}
		}
	}
	fmt.Printf("%d Sessions\n", read)
	if failed {
		os.Exit(1)
	}
}
