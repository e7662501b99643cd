package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// memoryVersion is that of the encoding. Members are added, never renamed.
const memoryVersion = 1

// memory is what the agent remembers of itself. It is stored in the transaction
// that stores what it says, so that nothing is said twice.
type memory struct {
	Version int `json:"version"`
	// Run is the newest run, nil before the first.
	Run        *runState            `json:"run,omitempty"`
	Conditions []*condition         `json:"conditions,omitempty"`
	Gaps       map[string]time.Time `json:"gaps,omitempty"` // told, by endpoint: its last good poll then, zero for never
	// Refused is the SHA-256 of the reasons of the last configuration that was
	// refused: it is told once, however often the file is looked at.
	Refused string `json:"refused,omitempty"`
	// Loss is the id of the last loss of the state that was told.
	Loss string `json:"loss,omitempty"`
	// Signed is the newest checkpoint, nil before the first.
	Signed *signedState `json:"signed,omitempty"`
	// LastDrill is when a drill was sent last.
	LastDrill time.Time `json:"last_drill,omitzero"`
	// Approvals are the announced changes that were told of.
	Approvals map[string]approved `json:"approvals,omitempty"`
	// Openings are past change windows whose use was told, by endpoint, name and
	// beginning.
	Openings map[string]openingTold `json:"openings,omitempty"`
}

type runState struct {
	StartedAt    time.Time `json:"started_at"`
	Ended        bool      `json:"ended"`                   // in order
	ConfigDigest string    `json:"config_digest,omitempty"` // that was in use last
	Version      string    `json:"version,omitempty"`       // of the agent
}

// condition is one that is open.
type condition struct {
	Code     string    `json:"code"`
	Subject  string    `json:"subject,omitempty"` // the sink
	ID       string    `json:"id"`
	OpenedAt time.Time `json:"opened_at"`
	OpenedBy string    `json:"opened_by"`
	Severity uint8     `json:"severity"`
	Count    int       `json:"count,omitempty"` // of endpoints, when it opened
}

func decodeMemory(b []byte) (*memory, error) {
	m := &memory{Version: memoryVersion}
	if len(b) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("memory of the agent: %w", err)
	}
	if m.Version != memoryVersion {
		return nil, fmt.Errorf("memory of the agent: version %d, this program knows %d", m.Version, memoryVersion)
	}
	return m, nil
}

// clone copies what a decision changes in place. Gaps is not copied, for it may
// hold a whole fleet and is cloned several times a tick: see own.
func (m *memory) clone() *memory {
	c := *m
	c.Approvals, c.Openings = maps.Clone(m.Approvals), maps.Clone(m.Openings)
	if m.Run != nil {
		c.Run = new(*m.Run)
	}
	c.Conditions = nil
	for _, o := range m.Conditions {
		c.Conditions = append(c.Conditions, new(*o))
	}
	return &c
}

// own makes Gaps a map that may be written.
func (m *memory) own() {
	if m.Gaps = maps.Clone(m.Gaps); m.Gaps == nil {
		m.Gaps = map[string]time.Time{}
	}
}

// toldSlack is how much older than in the memory the last good poll of a gap may
// be that was told. The state learns of good polls once a minute, so a restart
// may find an older one. It is shorter than any limit: with a good poll since,
// a time so close before is not possible unless the clock was set back by about
// the length of the gap.
const toldSlack = 5 * time.Minute

// told reports whether the gap since a last good poll was told. A time that is
// much older is another gap, by a clock that was set back.
func (m *memory) told(name string, last time.Time) bool {
	at, ok := m.Gaps[name]
	return ok && !last.After(at) && at.Sub(last) <= toldSlack
}

// find returns the open condition, nil when there is none.
func (m *memory) find(code, subject string) *condition {
	for _, c := range m.Conditions {
		if c.Code == code && c.Subject == subject {
			return c
		}
	}
	return nil
}

func (m *memory) drop(c *condition) {
	m.Conditions = slices.DeleteFunc(m.Conditions, func(o *condition) bool { return o == c })
}
