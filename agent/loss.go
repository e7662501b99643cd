package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// StateLost says what befell the state before this run, once: a loss that the
// state knows to be told is not told again. It must be called before Start.
func (v *Voice) StateLost(ctx context.Context, at time.Time, l bolt.Loss) error {
	return v.say(ctx, at, func(m *memory) ([]word, bool) {
		if m.Loss == l.ID {
			return nil, false
		}
		m.Loss, v.lost = l.ID, &l
		return []word{lossWord(l)}, true
	})
}

func lossWord(l bolt.Loss) word {
	facts := lossFacts(l)
	if l.Backup != "" {
		w := word{
			typ: event.AgentStateRestored, severity: event.SeverityHigh, verdict: event.Unexpected, reasons: []string{l.Reason},
			details: facts,
		}
		how := map[string]string{
			bolt.ReasonLost: "the state was gone", bolt.ReasonForeign: "a foreign state stood in place of ours", bolt.ReasonDamaged: "the state was damaged",
			bolt.ReasonCommand: "an operator restored the state",
		}[l.Reason]
		w.message = fmt.Sprintf("%s; the agent goes on with a backup%s: %s; changes since then are told late", how, since(l.Found.At), lacking(facts))
		if l.Reason == bolt.ReasonCommand {
			w.verdict = event.Informational
		}
		return w
	}
	w := word{
		typ: event.AgentStateLost, severity: event.SeverityCritical, verdict: event.Unexpected, reasons: []string{l.Reason},
		details: facts,
	}
	const begins = "all endpoints begin a new baseline; what changed before will not be told"
	switch l.Reason {
	case bolt.ReasonOlder:
		w.message = fmt.Sprintf("a state%s stands in place of the newest, known until %s: %s; changes since then are told late",
			since(l.Found.At), clock(l.Known.At), lacking(facts))
	case bolt.ReasonForeign:
		w.message = "a foreign state stood in place of ours, and there is no good backup: " + begins
	case bolt.ReasonDamaged:
		w.message = "the state was damaged, and there is no good backup: " + begins
	default:
		w.message = "the state is gone"
		if l.Known.Epoch != "" {
			w.message += ", known until " + clock(l.Known.At)
		}
		w.message += ": " + begins
	}
	return w
}

// since says from when a copy is.
func since(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return " of " + clock(at)
}

func lacking(f event.AgentStateDetails) string {
	if f.EventsMissing == nil {
		return "how much is missing is not known"
	}
	n := plural(int(*f.EventsMissing), "event")
	if *f.EventsMissing == 1 {
		return n + " is missing"
	}
	return n + " are missing"
}

func lossFacts(l bolt.Loss) event.AgentStateDetails {
	f := event.AgentStateDetails{Reason: l.Reason}
	if l.Backup != "" {
		f.Backup = new(event.Text(l.Backup))
	}
	if l.Known.Epoch != "" {
		f.KnownEpoch, f.KnownSequence, f.KnownAt = new(l.Known.Epoch), new(l.Known.Sequence), event.AtOrNil(l.Known.At)
		n := l.Known.Position
		if n >= l.Found.Position {
			n -= l.Found.Position
		} else {
			n = 0 // another installation's, which has counted further
		}
		f.EventsMissing = &n
	}
	if l.Found.Epoch != "" {
		f.FoundEpoch, f.FoundSequence, f.FoundAt = new(l.Found.Epoch), new(l.Found.Sequence), event.AtOrNil(l.Found.At)
		if !l.Found.At.IsZero() && l.Known.Epoch != "" {
			f.MissingS = new(int64(l.Known.At.Sub(l.Found.At) / time.Second))
		}
	}
	if l.Aside != "" {
		f.Aside = new(event.Text(l.Aside))
	}
	if l.Cause != "" {
		f.Error = new(event.Text(l.Cause))
	}
	return f
}
