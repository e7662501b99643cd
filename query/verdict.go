package query

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

// PrintVerdict prints how a stored event came to its severity: what the rules
// started from, what moved it, and why.
func PrintVerdict(w io.Writer, stored json.RawMessage) error {
	var e event.Event
	if err := json.Unmarshal(stored, &e); err != nil {
		return fmt.Errorf("reading a stored event: %w", err)
	}
	d := &e.Data
	t := newTable(w)
	t.row("verdict", cell(string(d.Event.Verdict)))
	if len(d.Event.Reasons) > 0 {
		t.row("reasons", cell(strings.Join(d.Event.Reasons, ", ")))
	}
	for _, r := range d.Rules {
		t.row("rule", cell(r.ID), cell(r.Severity.String()), cell(r.Title))
	}
	t.row("began as", cell(d.Judgement.BaseSeverity.String()))
	for _, a := range d.Judgement.Adjustments {
		why := a.Reason
		if a.By != nil {
			why += ", by " + *a.By
		}
		if a.Expires != nil {
			why += ", until " + when(a.Expires)
		}
		t.row(cell(a.Kind), cell(a.Rule), cell(a.To.String()), cell(why))
	}
	t.row("is", cell(d.Event.Severity.String()))
	return t.flush()
}
