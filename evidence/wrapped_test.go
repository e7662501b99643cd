package evidence_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jwkswatch/jwkswatch/evidence"
)

// TestWrappedLines finds a line of the log sink that says something else than the event in
// it, and one of which two readers take two events.
func TestWrappedLines(t *testing.T) {
	t.Parallel()
	x := newExport(t, 1)
	var e struct {
		Time string
		Data struct {
			Event struct{ Severity, Message string }
		}
	}
	if err := json.Unmarshal(x.lines[1], &e); err != nil {
		t.Fatal(err)
	}
	level := map[string]string{"informational": "info", "low": "info", "medium": "warn", "high": "error", "critical": "error"}[e.Data.Event.Severity]
	line := func(level, message, more string) []byte {
		return fmt.Appendf(nil, `{"level":%q,"time":%q,"stream":"event",%s"event":%s,"message":%q}`, level, e.Time, more, x.lines[1], message)
	}
	for name, tt := range map[string]struct {
		line []byte
		want evidence.Kind
	}{
		"as written":    {line(level, e.Data.Event.Message, ""), ""},
		"other level":   {line("debug", e.Data.Event.Message, ""), evidence.Altered},
		"other message": {line(level, "all is well", ""), evidence.Altered},
		"two events":    {line(level, e.Data.Event.Message, `"event":{"data":{"event":{"severity":"low"}}},`), evidence.Unreadable},
	} {
		r := verify(t, &evidence.Verifier{}, [][]byte{tt.line})
		if tt.want == "" && len(r.Findings) > 0 || tt.want != "" && (len(r.Findings) != 1 || r.Findings[0].Kind != tt.want) {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
}
