package configs

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

func durationOf(p *time.Duration, least time.Duration) *binding {
	show := func() string {
		if *p == 0 {
			return ""
		}
		return formatDuration(*p)
	}
	sh := func() shape { return shape{pattern: durationPattern(least)} }
	return &binding{typ: "duration", shape: sh, show: show, set: func(s string) *refusal {
		v, ok := parseDuration(s)
		switch {
		case !ok && s != "" && strings.Trim(s, "0123456789") == "":
			return refused("wants a duration with its unit", "units are s, m, h and d: 30s, 5m, 1h30m, 90d")
		case !ok:
			return refused("wants a duration such as 30s, 5m, 1h30m or 90d", "whole numbers without spaces; d, h, m, s and ms in this order, each below the next larger one: 90m or 1h30m")
		case v < least:
			return refused("wants at least "+formatDuration(least), "raise it to "+formatDuration(least)+" or more")
		}
		*p = v
		return nil
	}}
}

// durationOrOff is durationOf that takes off for 0.
func durationOrOff(p *time.Duration, least time.Duration) *binding {
	b := durationOf(p, least)
	set, show := b.set, b.show
	b.typ = "duration or `off`"
	b.shape = func() shape { return shape{pattern: durationPattern(least) + "|off"} }
	b.set = func(s string) *refusal {
		if s == "off" {
			*p = 0
			return nil
		}
		r := set(s)
		if r != nil {
			r.what = strings.Replace(r.what, "wants a duration", "wants off or a duration", 1)
		}
		return r
	}
	b.show = func() string { return cmp.Or(show(), "off") }
	return b
}

// unit of a duration. A number of it is at most most when it comes first, and
// below carry after a larger one.
type unit struct {
	name  string
	size  time.Duration
	most  int64
	carry int64
}

func units() []unit {
	return []unit{
		{"d", day, 9999, 0},
		{"h", time.Hour, 999_999, 24},
		{"m", time.Minute, 9_999_999, 60},
		{"s", time.Second, 999_999_999, 60},
		{"ms", time.Millisecond, 999_999_999_999, 1000},
	}
}

// parseDuration reads 400d, 1d12h, 1h30m, 90m, 1s500ms: whole numbers, the
// largest unit first, no leading zeros, and what could be carried was. So each
// duration has one form for each unit it begins with, and the schema can say
// which ones are long enough.
func parseDuration(s string) (time.Duration, bool) {
	var total time.Duration
	all := units()
	for first := true; s != "" || first; first = false {
		end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		if end < 1 || end > 1 && s[0] == '0' {
			return 0, false
		}
		n, err := strconv.ParseInt(s[:end], 10, 64)
		name := s[end:]
		if next := strings.IndexAny(name, "0123456789"); next >= 0 {
			name = name[:next]
		}
		i := slices.IndexFunc(all, func(u unit) bool { return u.name == name })
		if err != nil || i < 0 || first && (n < 1 || n > all[i].most) || !first && n >= all[i].carry {
			return 0, false
		}
		total += time.Duration(n) * all[i].size
		all, s = all[i+1:], s[end+len(name):]
	}
	return total, true
}

// formatDuration writes what parseDuration reads.
func formatDuration(d time.Duration) string {
	if d < time.Millisecond || d%time.Millisecond != 0 {
		return d.String() // came from no file
	}
	all := units()
	if d%day != 0 || d/day > time.Duration(all[0].most) {
		all = all[1:] // 36h is read more easily than 1d12h
	}
	var b strings.Builder
	for _, u := range all {
		if n := d / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			d -= n * u.size
		}
	}
	return b.String()
}

// ParseDuration reads a duration as the configuration writes it: 30s, 1h30m, 90d.
func ParseDuration(s string) (d time.Duration, ok bool) { return parseDuration(s) }
