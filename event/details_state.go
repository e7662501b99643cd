package event

// AgentStateDetails belong to agent.state_lost and agent.state_restored. What
// was known is by the anchor, a small file beside the state.
type AgentStateDetails struct {
	// Reason is lost (it was gone, or an empty one stood in its place), older (an
	// older copy stood there, and goes on), foreign (that of another installation,
	// or a copy that was used elsewhere), damaged, or command (an operator restored
	// a backup).
	Reason        string  `json:"reason"`
	Backup        *string `json:"backup"`         // name of the file that was restored; null: none
	KnownEpoch    *string `json:"known_epoch"`    // null: nothing was known
	KnownSequence *uint64 `json:"known_sequence"` // of the stream _agent
	KnownAt       *Time   `json:"known_at"`       // when the state was known last
	FoundEpoch    *string `json:"found_epoch"`    // of the copy that goes on or was refused; null: there was none
	FoundSequence *uint64 `json:"found_sequence"`
	FoundAt       *Time   `json:"found_at"`       // of its newest event
	EventsMissing *uint64 `json:"events_missing"` // at least; null when it is not known
	MissingS      *int64  `json:"missing_s"`      // seconds from found_at to known_at
	Aside         *string `json:"aside"`          // name of the file that holds what stood there; nothing is deleted
	Error         *string `json:"error"`          // what is wrong with it
}
