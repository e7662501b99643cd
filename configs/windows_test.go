package configs

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestWindowsMean holds what a text of a window means, at the endpoint that names
// it.
func TestWindowsMean(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		`weekly: "Tue 09:00-11:00 Europe/Berlin"`:        {"2026-07-14T07:00:00Z", "2026-07-14T09:00:00Z"},
		`weekly: "Mon-Fri 22:00-02:00"`:                  {"2026-07-14T22:00:00Z", "2026-07-15T02:00:00Z"},
		`weekly: "Sat-Tue,Thu 00:00-24:00"`:              {"2026-07-14T00:00:00Z", "2026-07-15T00:00:00Z"},
		`dated: "2026-07-14 22:00-01:00 Asia/Kathmandu"`: {"2026-07-14T16:15:00Z", "2026-07-14T19:15:00Z"},
	} {
		c := good(t, "endpoints: [{ name: a, jwks_uri: 'https://a.example/jwks', expect: { windows: [w] } }]\nwindows: { w: { "+text+" } }\n")
		list := c.WindowsOf(&c.Endpoints[0])
		if len(c.Warnings) > 0 || len(list) != 1 || list[0].Name != "w" {
			t.Fatalf("%s: %v, %+v", text, c.Warnings, list)
		}
		from, _ := time.Parse(time.RFC3339, want[0])
		to, _ := time.Parse(time.RFC3339, want[1])
		if o, open := list[0].Opening(from); !open || !o.From.Equal(from) || !o.To.Equal(to) {
			t.Errorf("%s: open %v from %s to %s", text, open, o.From.UTC(), o.To.UTC())
		}
		again := good(t, string(c.Effective()))
		if again.Digest != c.Digest {
			t.Errorf("%s: its effective form has another digest\n%s", text, c.Effective())
		}
	}
}

// TestWindowsChange holds what a reload tells of windows.
func TestWindowsChange(t *testing.T) {
	t.Parallel()
	file := func(expect, windows string) *Config {
		return good(t, "endpoints: [{ name: a, jwks_uri: 'https://a.example/jwks'"+expect+" }]\n"+windows)
	}
	named := ", expect: { windows: [w] }"
	tue := file(named, `windows: { w: { weekly: "Tue 09:00-11:00" }, v: { weekly: "Mon 09:00-11:00" } }`)
	if list := tue.Warnings; len(list) != 1 || !strings.Contains(list[0].Message, "no endpoint has the window v") {
		t.Errorf("warnings: %v", list)
	}
	for name, tt := range map[string]struct {
		next    *Config
		shrinks string
	}{
		"other times": {file(named, `windows: { w: { weekly: "Wed 09:00-11:00" }, v: { weekly: "Mon 09:00-11:00" } }`), "window w is open at other times"},
		"one more":    {file(", expect: { windows: [w, v] }", `windows: { w: { weekly: "Tue 09:00-11:00" }, v: { weekly: "Mon 09:00-11:00" } }`), "endpoint a: expect.windows has more windows"},
		"none":        {file("", `windows: { w: { weekly: "Tue 09:00-11:00" }, v: { weekly: "Mon 09:00-11:00" } }`), "endpoint a: expect.windows is dropped: changes at any time are as good"},
	} {
		d := Changes(tue, tt.next)
		if !slices.Equal(d.Shrinks, []string{tt.shrinks}) {
			t.Errorf("%s: %q", name, d.Shrinks)
		}
	}
	if d := Changes(tue, tue); !d.Empty() {
		t.Errorf("nothing changed, and %s", d.String())
	}
}
