package configs

import (
	"strings"
	"testing"
)

// TestRulesThatLower holds what a reload says of rules: each way to be told less is
// named, and what is told more, or the same at another place, is not.
func TestRulesThatLower(t *testing.T) {
	t.Parallel()
	const (
		finds  = "rules: [{ id: a, on: key.added, severity: high, suppressible: false }]\n"
		lowers = "rules: [{ id: a, on: key.added, severity: low, action: downgrade, reason: x, expires: 2026-12-01 }]\n"
		low    = "overrides: [{ id: set-replaced, severity: low }]\n"
		raised = "overrides: [{ id: key-added, severity: high }]\n"
	)
	with := func(s, from, to string) string { return strings.Replace(s, from, to, 1) }
	for name, tt := range map[string]struct{ old, new, want string }{
		"the same":              {finds + low, "# a line\n" + finds + low, ""},
		"a detection comes":     {"", finds, ""},
		"it goes":               {finds, "", "rule a is gone"},
		"it is off":             {finds, with(finds, "severity:", "enabled: false, severity:"), "rule a is switched off"},
		"it was off":            {with(finds, "severity:", "enabled: false, severity:"), "", ""},
		"it is less":            {finds, with(finds, "high", "medium"), "rule a is medium and no longer high"},
		"it is more":            {finds, with(finds, "high", "critical"), ""},
		"it may be lowered":     {finds, with(finds, ", suppressible: false", ""), "what rule a finds may be lowered"},
		"it is silent at times": {finds, with(finds, "high", "high, repeat: 7d"), "rule a is silent for 7d once it told"},
		"it is another":         {finds, "rules: [{ id: a, on: key.added, action: raise }]\n", "rule a has action raise and no longer detect"},
		"a downgrade comes":     {"", lowers, "rule a lowers severities"},
		"in its place":          {finds, lowers, "rule a lowers severities; what rule a finds may be lowered"},
		"it changes":            {lowers, with(lowers, "2026-12-01", "2026-12-02"), "rule a lowers severities otherwise than before"},
		"it is switched on":     {with(lowers, "severity:", "enabled: false, severity:"), lowers, "rule a lowers severities"},
		"it goes again":         {lowers, "", ""},
		"an override lowers":    {"", low, "rule set-replaced is overridden as low"},
		"it no longer does":     {low, "", ""},
		"one raised":            {raised, "", "rule key-added is no longer overridden as high"},
		"it raises":             {"", raised, ""},
		"a rule is off":         {"", "overrides: [{ id: set-replaced, enabled: false }]\n", "rule set-replaced is switched off"},
	} {
		read := func(text string) *Config {
			o := worldOfRules(map[string]string{"rules.yaml": "version: 1\n" + text})
			c, err := Parse("x.yaml", []byte(watched+"rules: { files: [rules.yaml] }\n"), o)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			return c
		}
		if got := strings.Join(Changes(read(tt.old), read(tt.new)).Shrinks, "; "); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
