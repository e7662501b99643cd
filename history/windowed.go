package history

import "time"

// Bounds of what is remembered of change windows.
const (
	MaxWindowed     = 8
	MaxWindowedKeys = 32 // thumbprints, of one opening
)

// Windowed is what happened in one opening of a change window.
type Windowed struct {
	Name        string
	From, Until time.Time
	Added       time.Time // of the first addition of the last step
	Steps       int       // that added signing keys
	Changes     int       // keys that came, went or have another kid
	Keys        []string  // thumbprints of those that came
	Dated       bool      // it opens only once
	Told        bool      // that nothing came
}

type windowedV1 struct {
	Name    string   `json:"n"`
	From    int64    `json:"f"`
	Until   int64    `json:"u"`
	Added   int64    `json:"a,omitempty"`
	Steps   int      `json:"s,omitempty"`
	Changes int      `json:"c,omitempty"`
	Keys    []string `json:"k,omitempty"`
	Dated   bool     `json:"d,omitempty"`
	Told    bool     `json:"t,omitempty"`
}

func packWindowed(list []Windowed) []windowedV1 {
	var out []windowedV1
	for _, w := range list {
		out = append(out, windowedV1{w.Name, ms(w.From), ms(w.Until), ms(w.Added), w.Steps, w.Changes, w.Keys, w.Dated, w.Told})
	}
	return out
}

func unpackWindowed(list []windowedV1) []Windowed {
	var out []Windowed
	for _, w := range list {
		out = append(out, Windowed{w.Name, when(w.From), when(w.Until), when(w.Added), w.Steps, w.Changes, w.Keys, w.Dated, w.Told})
	}
	return out
}
