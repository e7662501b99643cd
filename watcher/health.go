package watcher

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
	"github.com/jwkswatch/jwkswatch/rules"
)

const (
	// examineAtOnce is how many keys of one endpoint are checked before the next
	// endpoint has its turn: who serves thousands of new keys delays himself.
	examineAtOnce = 16
	// restFor is how long the examiner rests after each check, in times of what the
	// check took: a flood of new keys costs a quarter of one core and no more.
	restFor = 3
	// ownersPerModulus bounds who is told of a factor that a modulus shares.
	ownersPerModulus = 8
)

// examiner makes the checks of keys that are too dear for a poll: one goroutine,
// one key after the other, each key once for ever. What it finds comes back with
// the next observation of the endpoint.
type examiner struct {
	mu    sync.Mutex
	jobs  map[*slot]*job
	turns []*slot
	wake  chan struct{}

	// The goroutine's alone.
	moduli keyhealth.Moduli
	owners map[int][]owner // by the index of a modulus
}

// job is what is to be checked of an endpoint, by its newest answer.
type job struct {
	endpoint string
	set      *jwks.Set
	places   []int // in set.Keys
	read     bool  // how others read the set
}

// owner is who published a modulus.
type owner struct {
	endpoint string
	id       jwks.Identity
}

// findings wait at an endpoint for its next observation.
type findings struct {
	some atomic.Bool
	mu   sync.Mutex
	held *rules.Health
}

// add brings in what was found. What is there already is newer.
func (f *findings) add(h *rules.Health, older bool) {
	if h.Empty() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		f.held = &rules.Health{
			Keys: map[jwks.Identity]*history.Health{}, Factors: map[jwks.Identity]string{}, Sets: map[[32]byte]history.Verdict{},
		}
	}
	put(f.held.Keys, h.Keys, older)
	put(f.held.Factors, h.Factors, older)
	put(f.held.Sets, h.Sets, older)
	f.some.Store(true)
}

func put[K comparable, V any](dst, src map[K]V, older bool) {
	for k, v := range src {
		if _, ok := dst[k]; !ok || !older {
			dst[k] = v
		}
	}
}

// take returns what waits, nil for nothing. Who cannot store it adds it again.
func (f *findings) take() *rules.Health {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.held
	f.held = nil
	f.some.Store(false)
	return h
}

func (x *examiner) begin() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.jobs, x.turns, x.wake = map[*slot]*job{}, nil, make(chan struct{}, 1)
}

func (x *examiner) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.jobs, x.turns, x.wake = nil, nil, nil
}

// toExamine asks for the checks that the answer still needs. It is called with
// the slot by whoever polls it.
func (w *Watcher) toExamine(s *slot, set *jwks.Set, m *history.Memory) {
	if !set.Usable() {
		return
	}
	j := &job{endpoint: s.e.Name, set: set, places: m.Unchecked(set.Keys, rules.Checks(w.blocklists()))}
	for _, d := range m.Digests {
		j.read = j.read || d.Sum == set.Digest
	}
	j.read = j.read && m.VerdictOf(set.Digest).Read == history.Unread
	x := &w.examiner
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.wake == nil {
		return // nobody runs
	}
	_, waits := x.jobs[s]
	switch {
	case len(j.places) == 0 && !j.read:
		delete(x.jobs, s)
		return
	case !waits:
		x.turns = append(x.turns, s)
	}
	x.jobs[s] = j
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// next takes the job whose turn it is, nil when there is none.
func (x *examiner) next() (*slot, *job) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.turns) > 0 {
		s := x.turns[0]
		x.turns = x.turns[1:]
		if j := x.jobs[s]; j != nil {
			delete(x.jobs, s)
			return s, j
		}
	}
	return nil, nil
}

// again puts back what is left of a job, unless a newer one came.
func (x *examiner) again(s *slot, j *job) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.jobs[s] == nil && (len(j.places) > 0 || j.read) {
		x.jobs[s] = j
		x.turns = append(x.turns, s)
	}
}

// examine checks keys until it is told to stop.
func (w *Watcher) examine(stop <-chan struct{}) {
	x := &w.examiner
	if !w.loadModuli(stop) {
		return
	}
	for {
		s, j := x.next()
		if j == nil {
			select {
			case <-stop:
				return
			case <-x.wake:
				continue
			}
		}
		found := &rules.Health{Keys: map[jwks.Identity]*history.Health{}, Factors: map[jwks.Identity]string{}}
		n := min(len(j.places), examineAtOnce)
		for _, i := range j.places[:n] {
			begun := time.Now()
			w.check(j, i, found)
			if !rest(stop, time.Since(begun)) {
				return
			}
		}
		if j.places = j.places[n:]; len(j.places) == 0 && j.read {
			begun := time.Now()
			found.Sets = map[[32]byte]history.Verdict{j.set.Digest: rules.ReadBy(j.set)}
			j.read = false
			if !rest(stop, time.Since(begun)) {
				return
			}
		}
		s.found.add(found, false)
		x.again(s, j)
	}
}

// check checks one key and holds its modulus against all others.
func (w *Watcher) check(j *job, i int, found *rules.Health) {
	k := &j.set.Keys[i]
	p, ok := j.set.Public(i)
	if !ok {
		return
	}
	found.Keys[k.ID] = rules.CheckUp(j.set, i, &p, w.blocklists())
	if p.N == nil {
		return
	}
	x := &w.examiner
	index, matches := x.moduli.Add(p.N)
	x.own(index, owner{j.endpoint, k.ID})
	for _, m := range matches {
		peers := x.owners[m.Index]
		if m.New && len(peers) > 0 {
			found.Factors[k.ID] = peers[0].endpoint
		}
		for _, o := range peers {
			if s := w.slotOf(o.endpoint); m.Old && s != nil {
				s.found.add(&rules.Health{Factors: map[jwks.Identity]string{o.id: j.endpoint}}, false)
			}
		}
	}
}

func (x *examiner) own(index int, o owner) {
	if index < 0 {
		return
	}
	if x.owners == nil {
		x.owners = map[int][]owner{}
	}
	list := x.owners[index]
	if slices.Contains(list, o) {
		return
	}
	if len(list) < ownersPerModulus {
		x.owners[index] = append(list, o)
	}
}

// loadModuli reads every modulus that was ever stored of the endpoints, so that a
// key is held against those of before a restart too. It reports whether it was
// not told to stop.
func (w *Watcher) loadModuli(stop <-chan struct{}) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	x := &w.examiner
	for _, s := range w.slots() {
		name := s.name()
		for rec, err := range w.Store.Snapshots(ctx, name) {
			if err != nil {
				w.Log.Error().Err(err).Str("endpoint", name).Msg("moduli of before are not read; keys are compared with the rest")
				break
			}
			begun := time.Now()
			set := jwks.Parse(rec.Body)
			for i, p := range set.Publics() {
				if p.N != nil {
					x.own(x.moduli.Load(p.N), owner{name, set.Keys[i].ID})
				}
			}
			if !rest(stop, time.Since(begun)) {
				return false
			}
		}
	}
	return true
}

// rest waits some times what the last piece of work took, and reports whether
// there was no call to stop.
func rest(stop <-chan struct{}, took time.Duration) bool {
	if took < 50*time.Microsecond { // a timer costs as much
		select {
		case <-stop:
			return false
		default:
			return true
		}
	}
	t := time.NewTimer(restFor * took)
	defer t.Stop()
	select {
	case <-stop:
		return false
	case <-t.C:
		return true
	}
}

// slotOf is the endpoint of the name, nil when it is not watched.
func (w *Watcher) slotOf(name string) *slot {
	for _, s := range w.slots() {
		if s.name() == name {
			return s
		}
	}
	return nil
}

// name is that of the endpoint, for whoever does not own the slot.
func (s *slot) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.want.Name
}
