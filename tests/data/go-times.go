// Prints what Go's time.Parse makes of many values in each layout, one line each:
//
//	layout <tab> value (JSON) <tab> seconds.nanoseconds since the epoch, or "error"
//
// tests/timestamps.rs holds our parser against the output: against the table that is kept in go-times.tsv, and, where Go is
// installed, against values that are made up anew. To make the table anew (Go 1.26):
//
//	TZ=UTC go run tests/data/go-times.go -random 24000 -seed 1 > tests/data/go-times.tsv
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"
)

var layouts = []struct{ name, layout string }{
	{"UnixDate", time.UnixDate},
	{"GoString", "2006-01-02 15:04:05.999999999 -0700 MST"},
	{"Ansic", time.ANSIC},
	{"Rfc1123", time.RFC1123},
	{"Rfc1123Z", time.RFC1123Z},
	{"Rfc3339", time.RFC3339},
}

// Parts that are put into the place of the same part of the reference time.
var replacements = []struct {
	part   string
	values []string
}{
	{"Mon", []string{"Tue", "mon", "MON", "Mo", "Monday", "Xyz", "", " Mon"}},
	{"Jan", []string{"Feb", "dec", "JUN", "January", "Xxx", "1", "", " Jan"}},
	{" 2 ", []string{" 02 ", " 2 ", "  2 ", "   2 ", " 31 ", " 32 ", " 0 ", " 00 ", " 002 ", " x ", " -2 "}},
	{"02", []string{"2", " 2", "31", "30", "29", "28", "00", "002"}},
	{"-01-", []string{"-1-", "-02-", "-12-", "-13-", "-00-", "/01/"}},
	{"15:", []string{"3:", "03:", "00:", "23:", "24:", " 3:", "x:", ":"}},
	{":04:", []string{":4:", ":00:", ":59:", ":60:", ":004:", "::"}},
	{":05", []string{":5", ":00", ":59", ":60", ":61", ":005", ":05.5", ":05,25", ":05.123456789", ":05.1234567891",
		":05.", ":05.x", ":05.000000000", ":05.100", "", ":05.0000000000000000000000000000001", ":05.-5"}},
	{"2006", []string{"0000", "0001", "9999", "10000", "206", "20065", "2004", "2100", "2000", "-006", "+006", "20x6", ""}},
	{" MST", []string{" UTC", " GMT", " CET", " CEST", " EST5", " ChST", " MeST", " WITA", " WITB", " ABCDT", " ABCDE",
		" ABCDEF", " AB", " A", " mst", " Mst", " +03", " -11", " +24", " +0300", " +3", " Z", " UTCX", " UTC+1", "  MST", "MST", ""}},
	{"-0700", []string{"+0000", "-0000", "+0530", "+2400", "+2359", "+0060", "07:00", "-07:00", "0700", "-700", "Z", "+1400", "-1200", "x0700"}},
	{"Z07:00", []string{"Z", "+00:00", "-07:00", "+05:30", "+24:00", "+0700", "z", "+7:00", "+00:60", "", " Z", "-00:00"}},
	{"T", []string{"t", " ", "TT", ""}},
	{" ", []string{"  ", "   ", "\t", ""}},
	{", ", []string{",", ",  ", " "}},
	{" -0700 MST", []string{" -0700 UTC", " +0100 UTC", " +0000 UTC", " +0100 CET", " +0300 +03", " +0000 GMT", " -0700", " -0700 MST m=+0.1", " +0000"}},
}

var whole = []string{
	"", " ", "0", "now", "2026-11-24", "2026-11-24T10:00:00", "1764000000", "Mon", "Mon Jan", "-", "é", "Mon Jan  2 15:04:05 MST é",
	"Sat Feb 29 00:00:00 UTC 2020", "Sat Feb 29 00:00:00 UTC 2021", "Sat Feb 29 00:00:00 UTC 2000", "Sat Feb 29 00:00:00 UTC 1900",
	"Sun Apr 31 00:00:00 UTC 2026", "Mon Nov 23 10:05:00 UTC 2026", "Mon Nov 23 10:05:00 UTC 2026 ", " Mon Nov 23 10:05:00 UTC 2026",
	"Mon Nov 23 10:05:00  UTC  2026", "Mon Nov 23 10:05:00 UTC 2026\n", "2006-01-02 15:04:05.999999999 -0700 MST",
	"2026-11-24 03:08:35.123456789 +0000 UTC", "2026-11-24 03:08:35 +0000 UTC", "2026-11-24 03:08:35.1 +0000 UTC",
	"Tue, 24 Nov 2026 03:08:35 GMT", "Tue, 24 Nov 2026 03:08:35 +0100", "2026-11-24T03:08:35.5Z", "2026-11-24T03:08:35+01:00",
	"2026-11-24T03:08:60Z", "2016-12-31T23:59:60Z", "9999-12-31T23:59:59-14:00", "0000-01-01T00:00:00+14:00",
	"9999-12-31 23:59:59.999999999 -2400 XXX", "2026-11-24t03:08:35z", "2026-11-24 03:08:35Z",
}

// Zones that times are written in: sound abbreviations, others, and numbers.
var zones = []string{"UTC", "GMT", "CET", "CEST", "EST", "PST", "MST", "WITA", "ChST", "MeST", "AEDT", "+03", "-03", "+0545",
	"-0330", "+0001", "+0023", "+0024", "GMT+3", "GMT-11", "GMT+24", "Z", "UTCX", "+3", "+003", "+24", "-00", "ABCDE", "ABCDET", "utc"}

var offsets = []int{0, 0, 0, 3600, 7200, -3600, 20700, -12600, 60, 23 * 60, 24 * 60, 86399, -43200, 50400}

const characters = " 0123456789:.,+-TZMSTUCGadjxé\t"

func main() {
	count := flag.Int("random", 0, "number of values that are made up, besides the fixed ones")
	seed := flag.Uint64("seed", 1, "what they are made from")
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for _, l := range layouts {
		reference := strings.NewReplacer("_2", " 2", ".999999999", "").Replace(l.layout)
		write_case(out, l.name, l.layout, reference)
		for _, v := range whole {
			write_case(out, l.name, l.layout, v)
		}
		for _, r := range replacements {
			if strings.Contains(reference, r.part) {
				for _, v := range r.values {
					write_case(out, l.name, l.layout, strings.Replace(reference, r.part, v, 1))
				}
			}
		}
	}
	random := rand.New(rand.NewPCG(*seed, 0))
	for range *count {
		l, written := layouts[random.IntN(len(layouts))], layouts[random.IntN(len(layouts))]
		if random.IntN(10) > 0 {
			written = l
		}
		write_case(out, l.name, l.layout, value(random, written.layout))
	}
}

func write_case(out *bufio.Writer, name, layout, value string) {
	result := "error"
	if t, err := time.Parse(layout, value); err == nil {
		result = fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
	}
	quoted, _ := json.Marshal(value)
	fmt.Fprintf(out, "%s\t%s\t%s\n", name, quoted, result)
}

// A time as it is written in the layout, with up to three changes.
func value(random *rand.Rand, layout string) string {
	seconds := random.Int64N(4_000_000_000)
	if random.IntN(5) == 0 {
		seconds = random.Int64N(315_569_520_000) - 62_167_219_200
	}
	nanoseconds := int64(0)
	if random.IntN(3) == 0 {
		nanoseconds = random.Int64N(1_000_000_000)
	}
	zone := zones[random.IntN(len(zones))]
	t := time.Unix(seconds, nanoseconds).In(time.FixedZone(zone, offsets[random.IntN(len(offsets))]))
	text := t.Format(layout)
	for range random.IntN(4) {
		text = change(random, text)
	}
	return text
}

func change(random *rand.Rand, text string) string {
	if random.IntN(2) == 0 {
		r := replacements[random.IntN(len(replacements))]
		return strings.Replace(text, r.part, r.values[random.IntN(len(r.values))], 1)
	}
	letters := []rune(text)
	if len(letters) == 0 {
		return text
	}
	at, other := random.IntN(len(letters)), []rune(characters)
	letter := other[random.IntN(len(other))]
	switch random.IntN(6) {
	case 0:
		letters[at] = letter
	case 1:
		return string(letters[:at]) + string(letter) + string(letters[at:])
	case 2:
		return string(letters[:at]) + string(letters[at+1:])
	case 3:
		return strings.Replace(text, string(letters[at]), strings.ToUpper(string(letters[at])), 1)
	case 4:
		return strings.ToLower(text)
	case 5:
		words := strings.Split(text, " ")
		words[random.IntN(len(words))] = zones[random.IntN(len(zones))]
		return strings.Join(words, " ")
	}
	return string(letters)
}
