package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// The sources of an approval.
const (
	FromFile            = "file"            // of the configuration
	FromCommand         = "command"         // announced at the socket
	FromAcknowledgement = "acknowledgement" // accepted after it came
	fromWindow          = "window"
)

var (
	// ErrNoApproval is returned for an id that no approval has.
	ErrNoApproval = errors.New("there is no such approval")
	// ErrApprovalOfFile is returned for an approval that stands in a file.
	ErrApprovalOfFile = errors.New("the approval stands in a file of the configuration: take it out there")
	// ErrApprovals is returned when there are as many approvals as are kept.
	ErrApprovals = errors.New("there are too many approvals: revoke some, or let them end")
)

const (
	maxApprovals = 4096                // that are remembered
	pastKept     = 30 * 24 * time.Hour // for which an approval that has ended is still listed
)

// Approval is a change that was announced or accepted.
type Approval struct {
	Critical bool // of an endpoint of tier critical: granting it is medium
	Over     bool // its time is over
	Details  event.ApprovalDetails
}

// approved is an approval that was told of. Those of the socket live here alone.
type approved struct {
	Details event.ApprovalDetails `json:"details"`
	Over    bool                  `json:"over,omitempty"` // its end was told
}

func (a *approved) over(at time.Time) bool {
	return a.Details.Until != nil && !at.Before(a.Details.Until.Time)
}

// announces reports whether it is for a key that the other one is for too.
func (a *approved) announces(other *event.ApprovalDetails) bool {
	if a.Details.Endpoint != other.Endpoint {
		return false
	}
	for _, k := range thumbprints(&a.Details) {
		if slices.Contains(thumbprints(other), k) {
			return true
		}
	}
	return false
}

func thumbprints(d *event.ApprovalDetails) []string {
	list := slices.Clone(d.Keys)
	if d.Thumbprint != nil {
		list = append(list, *d.Thumbprint)
	}
	return list
}

// Approvals tells what changed among the announced changes since it was last
// called, also over a restart: who can announce a change can let one pass, so each
// grant is told, and each end. The list is that of the configuration.
func (v *Voice) Approvals(ctx context.Context, at time.Time, list []Approval) error {
	return v.say(ctx, at, func(m *memory) (words []word, store bool) {
		of := map[string]bool{}
		for _, a := range list {
			id := a.Details.ID
			of[id] = true
			if _, was := m.Approvals[id]; was {
				continue
			}
			if n := (approved{Details: a.Details}); !n.over(at) { // else it never was one while anybody looked
				words = append(words, approvalWord(event.ApprovalGranted, a, "approved by "+a.Details.By+" until "+day(a.Details.Until)+": it passes as expected"))
				m.remember(a.Details)
			}
		}
		for id, told := range m.Approvals {
			switch {
			case told.Details.Source == FromFile && !of[id]:
				if !told.Over {
					words = append(words, approvalWord(event.ApprovalRevoked, Approval{Details: told.Details}, "an approval was taken back: the change is no longer expected"))
				}
				delete(m.Approvals, id)
				store = true
			case told.over(at) && !told.Over:
				words = append(words, approvalWord(event.ApprovalExpired, Approval{Details: told.Details}, "an approval has ended: what it announced is no longer expected"))
				told.Over = true
				m.Approvals[id] = told
			case told.Over && told.Details.Source != FromFile && told.over(at.Add(-pastKept)):
				delete(m.Approvals, id)
				store = true
			}
		}
		slices.SortStableFunc(words, func(a, b word) int {
			return cmp.Compare(a.details.(event.ApprovalDetails).ID, b.details.(event.ApprovalDetails).ID)
		})
		return words, store || len(words) > 0
	})
}

// Grant remembers an approval that came by the socket, and tells of it. It returns
// the approval with its id. Errors: ErrApprovals and those of the state.
func (v *Voice) Grant(ctx context.Context, at time.Time, a Approval) (event.ApprovalDetails, error) {
	a.Details.ID = approvalID(at, &a.Details)
	what := "approved by " + a.Details.By + " until " + day(a.Details.Until) + ": it passes as expected"
	if a.Details.Source == FromAcknowledgement {
		what = "accepted by " + a.Details.By + " after it came"
	}
	full := false
	err := v.say(ctx, at, func(m *memory) ([]word, bool) {
		if full = len(m.Approvals) >= maxApprovals; full {
			return nil, false
		}
		m.remember(a.Details)
		return []word{approvalWord(event.ApprovalGranted, a, what)}, true
	})
	if err == nil && full {
		err = ErrApprovals
	}
	return a.Details, err
}

// Revoke ends an approval that came by the socket, and tells who did it and why.
// Errors: ErrNoApproval, ErrApprovalOfFile and those of the state.
func (v *Voice) Revoke(ctx context.Context, at time.Time, id, by, reason string) (event.ApprovalDetails, error) {
	var out event.ApprovalDetails
	var wrong error
	err := v.say(ctx, at, func(m *memory) ([]word, bool) {
		told, ok := m.Approvals[id]
		wrong = nil
		switch {
		case !ok || told.Over:
			wrong = ErrNoApproval
		case told.Details.Source == FromFile:
			wrong = ErrApprovalOfFile
		}
		if wrong != nil {
			return nil, false
		}
		out = told.Details
		out.RevokedBy, out.RevokedFor = event.TextOrNil(by), event.TextOrNil(reason)
		delete(m.Approvals, id)
		then := "the change is no longer expected"
		for _, other := range slices.Sorted(maps.Keys(m.Approvals)) {
			if a := m.Approvals[other]; !a.Over && a.announces(&out) {
				then = "another one still announces it: " + other
			}
		}
		return []word{approvalWord(event.ApprovalRevoked, Approval{Details: out}, "an approval was taken back by "+by+": "+then)}, true
	})
	return out, cmp.Or(err, wrong)
}

// Ledger returns the approvals that were told of and are remembered, by their id:
// those of files too, and those whose time was over not long ago.
func (v *Voice) Ledger(ctx context.Context, at time.Time) ([]Approval, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := v.mem
	if m == nil {
		rec, err := v.Store.Latest(ctx, event.AgentStream)
		if err != nil {
			return nil, fmt.Errorf("reading the record of the agent: %w", err)
		}
		if m, err = decodeMemory(rec.Memory); err != nil {
			return nil, err
		}
	}
	var out []Approval
	for _, a := range m.Approvals {
		out = append(out, Approval{Over: a.Over || a.over(at), Details: a.Details})
	}
	slices.SortFunc(out, func(a, b Approval) int { return cmp.Compare(a.Details.ID, b.Details.ID) })
	return out, nil
}

// approvalID is made of what is approved and when: the same words a day later are
// another approval.
func approvalID(at time.Time, d *event.ApprovalDetails) string {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d %q %q %q %q %q %q %q %q", at.UnixNano(), d.Endpoint, text(d.Thumbprint), text(d.Event), d.Keys, text(d.Kid), d.Source, d.Reason, d.By)
	return "ap-" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:8]))
}

func (m *memory) remember(d event.ApprovalDetails) {
	if m.Approvals == nil {
		m.Approvals = map[string]approved{}
	}
	if len(m.Approvals) < maxApprovals {
		m.Approvals[d.ID] = approved{Details: d}
	}
}

func approvalWord(typ event.Type, a Approval, what string) word {
	w := word{typ: typ, severity: event.SeverityLow, verdict: event.Informational, details: a.Details}
	text := a.Details.Endpoint + ": " + what
	if typ == event.ApprovalGranted {
		text = fmt.Sprintf("%s: a change of %s is %s", a.Details.Endpoint, ofKeys(&a.Details), what)
		if a.Critical {
			w.base, w.severity = event.SeverityLow, event.SeverityMedium
			w.adjusted = []event.Adjustment{{Rule: "approval-granted", Kind: "raise", To: event.SeverityMedium, Reason: "tier_critical"}}
			w.reasons = []string{"tier_critical"}
		}
	}
	w.message = short(text)
	return w
}

// short is a message of the length that one may have.
func short(text string) string {
	text = event.Text(text)
	if r := []rune(text); len(r) > event.MaxMessage {
		return string(r[:event.MaxMessage-1]) + "…"
	}
	return text
}

// ofKeys says what an approval is for.
func ofKeys(d *event.ApprovalDetails) string {
	switch {
	case d.Thumbprint != nil && len(*d.Thumbprint) >= 8:
		return "key " + (*d.Thumbprint)[:8] + "…"
	case len(d.Keys) > 0:
		return plural(len(d.Keys), "key")
	}
	return "what has no key"
}

func day(t *event.Time) string {
	if t == nil {
		return "further notice"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
