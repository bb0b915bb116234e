// Prints what Go's time.Parse makes of many values in each layout, one line each:
//
//	layout <tab> value (quoted) <tab> seconds.nanoseconds since the epoch, or "error"
//
// tests/timestamps.rs holds our parser against the output, which is kept in go-times.tsv. To make it anew:
//
//	TZ=UTC go run tests/data/go-times.go > tests/data/go-times.tsv
package main

import (
	"fmt"
	"regexp"
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

var longFraction = regexp.MustCompile(`[.][0-9]{10}`)

func main() {
	for _, l := range layouts {
		reference := strings.NewReplacer("_2", " 2", ".999999999", "").Replace(l.layout)
		values := append([]string{reference}, whole...)
		for _, r := range replacements {
			if strings.Contains(reference, r.part) {
				for _, v := range r.values {
					values = append(values, strings.Replace(reference, r.part, v, 1))
				}
			}
		}
		for _, v := range values {
			if l.name == "GoString" && longFraction.MatchString(v) {
				continue // refused by Go 1.19, read by newer ones; we go with the newer
			}
			t, err := time.Parse(l.layout, v)
			result := "error"
			if err == nil {
				result = fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
			}
			fmt.Printf("%s\t%q\t%s\n", l.name, v, result)
		}
	}
}
