package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Approval is an announced change as the configuration has it.
type Approval struct {
	Critical bool // of an endpoint of tier critical: granting it is medium
	Details  event.ApprovalDetails
}

// Approvals tells what changed among the announced changes since it was last
// called, also over a restart: who can announce a change can let one pass, so each
// grant is told, and each end.
func (v *Voice) Approvals(ctx context.Context, at time.Time, list []Approval) error {
	return v.record(ctx, at, nil, func(m *memory) (words []word, store bool) {
		known := map[string]event.ApprovalDetails{}
		for _, a := range list {
			id := a.Details.ID
			known[id] = a.Details
			over := a.Details.Until != nil && !at.Before(a.Details.Until.Time)
			told, was := m.Approvals[id]
			switch {
			case !was && over: // it never was one while anybody looked
			case !was:
				words = append(words, approvalWord(event.ApprovalGranted, a, "approved by "+a.Details.By+" until "+day(a.Details.Until)+": it passes as expected"))
				m.remember(id, a.Details)
			case over && !told.Over:
				words = append(words, approvalWord(event.ApprovalExpired, a, "an approval has ended: what it announced is no longer expected"))
				told.Over = true
				m.Approvals[id] = told
			}
		}
		for id, told := range m.Approvals {
			if _, is := known[id]; is {
				continue
			}
			if !told.Over {
				words = append(words, approvalWord(event.ApprovalRevoked, Approval{Details: told.Details}, "an approval was taken back: the change is no longer expected"))
			}
			delete(m.Approvals, id)
			store = true
		}
		slices.SortStableFunc(words, func(a, b word) int {
			return compareIDs(a.details.(event.ApprovalDetails).ID, b.details.(event.ApprovalDetails).ID)
		})
		return words, store || len(words) > 0
	})
}

func compareIDs(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// approved is an approval that was told of.
type approved struct {
	Details event.ApprovalDetails `json:"details"`
	Over    bool                  `json:"over,omitempty"` // its end was told
}

// maxApprovals bounds what is remembered of approvals.
const maxApprovals = 4096

func (m *memory) remember(id string, d event.ApprovalDetails) {
	if m.Approvals == nil {
		m.Approvals = map[string]approved{}
	}
	if len(m.Approvals) < maxApprovals {
		m.Approvals[id] = approved{Details: d}
	}
}

func approvalWord(typ event.Type, a Approval, what string) word {
	w := word{
		typ: typ, severity: event.SeverityLow, verdict: event.Informational, details: a.Details,
		message: event.Text(fmt.Sprintf("%s: a change of key %s is %s", a.Details.Endpoint, shortKey(a.Details.Thumbprint), what)),
	}
	if typ != event.ApprovalGranted {
		w.message = event.Text(a.Details.Endpoint + ": " + what)
	}
	if typ == event.ApprovalGranted && a.Critical {
		w.base, w.severity = event.SeverityLow, event.SeverityMedium
		w.adjusted = []event.Adjustment{{Rule: "approval-granted", Kind: "raise", To: event.SeverityMedium, Reason: "tier_critical"}}
		w.reasons = []string{"tier_critical"}
	}
	if r := []rune(w.message); len(r) > event.MaxMessage {
		w.message = string(r[:event.MaxMessage-1]) + "…"
	}
	return w
}

func shortKey(thumbprint *string) string {
	if thumbprint == nil || len(*thumbprint) < 8 {
		return "-"
	}
	return (*thumbprint)[:8] + "…"
}

func day(t *event.Time) string {
	if t == nil {
		return "further notice"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
