package history

import "time"

// Flood bounds what one endpoint may tell, so that a hostile issuer cannot bury
// an alert of its own or of another endpoint.
type Flood struct {
	Regular, High, Critical Rate
	Since                   time.Time  // of the first event that was withheld; zero: none is
	Withheld                []Withheld // by type
}

// Withheld counts the events of one type that were not told one by one.
type Withheld struct {
	Type        string
	Severity    uint8 // the highest of them
	Count       uint64
	First, Last time.Time
}

// Rate is the state of a rate limit: how far ahead the events that were let
// through reach when they are spread evenly (the generic cell rate algorithm).
type Rate struct{ Until time.Time }

// Take lets one more event through at most n times a period. A clock that was set
// back must not silence an endpoint: what reaches further ahead than a period is
// cut.
func (r *Rate) Take(now time.Time, n int, period time.Duration) bool {
	until := r.Until
	if until.Before(now) {
		until = now
	}
	if most := now.Add(period); until.After(most) {
		until = most
	}
	each := period / time.Duration(n)
	if until.Add(each).After(now.Add(period)) {
		return false
	}
	r.Until = until.Add(each)
	return true
}

// Withhold counts an event that is not told.
func (f *Flood) Withhold(typ string, severity uint8, at time.Time) {
	if f.Since.IsZero() {
		f.Since = at
	}
	for i := range f.Withheld {
		if w := &f.Withheld[i]; w.Type == typ {
			w.Severity, w.Count, w.Last = max(w.Severity, severity), w.Count+1, at
			return
		}
	}
	f.Withheld = append(f.Withheld, Withheld{typ, severity, 1, at, at})
}

// floodV1 is the stored form.
type floodV1 struct {
	Regular  int64        `json:"r,omitzero"`
	High     int64        `json:"h,omitzero"`
	Critical int64        `json:"c,omitzero"`
	Since    int64        `json:"at,omitzero"`
	Withheld []withheldV1 `json:"w,omitempty"`
}

type withheldV1 struct {
	Type     string `json:"t"`
	Severity uint8  `json:"sev"`
	Count    uint64 `json:"n"`
	First    int64  `json:"f"`
	Last     int64  `json:"l"`
}

// pack returns nil when nothing was ever told.
func (f *Flood) pack() *floodV1 {
	if f.Regular.Until.IsZero() && f.Since.IsZero() {
		return nil
	}
	out := &floodV1{Regular: ms(f.Regular.Until), High: ms(f.High.Until), Critical: ms(f.Critical.Until), Since: ms(f.Since)}
	for _, w := range f.Withheld {
		out.Withheld = append(out.Withheld, withheldV1{w.Type, w.Severity, w.Count, ms(w.First), ms(w.Last)})
	}
	return out
}

func (f *floodV1) unpack() Flood {
	if f == nil {
		return Flood{}
	}
	out := Flood{Regular: Rate{when(f.Regular)}, High: Rate{when(f.High)}, Critical: Rate{when(f.Critical)}, Since: when(f.Since)}
	for _, w := range f.Withheld {
		out.Withheld = append(out.Withheld, Withheld{w.Type, w.Severity, w.Count, when(w.First), when(w.Last)})
	}
	return out
}
