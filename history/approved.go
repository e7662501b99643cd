package history

import "time"

// MaxApproved bounds the approvals that are remembered.
const MaxApproved = 256

// Approved is what became of one announced change.
type Approved struct {
	ID    string
	Until time.Time
	Used  bool
	Told  bool // that it did not come
}

type approvedV1 struct {
	ID    string `json:"i"`
	Until int64  `json:"u"`
	Used  bool   `json:"d,omitempty"`
	Told  bool   `json:"t,omitempty"`
}

func packApproved(list []Approved) []approvedV1 {
	var out []approvedV1
	for _, a := range list {
		out = append(out, approvedV1{a.ID, ms(a.Until), a.Used, a.Told})
	}
	return out
}

func unpackApproved(list []approvedV1) []Approved {
	var out []Approved
	for _, a := range list {
		out = append(out, Approved{a.ID, when(a.Until), a.Used, a.Told})
	}
	return out
}
