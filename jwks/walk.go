package jwks

import (
	"slices"
	"strconv"
)

// walker reads a document that the token pass has found to be JSON and from
// which the secrets are gone. It notes what is wrong on the way.
type walker struct {
	in        []byte
	at        int
	path      []step
	check     bool     // strings may be ill-formed
	secret    bool     // a private member or a secret's place was met
	doc       notes    // of the document
	sink      *notes   // where notes go now: the document's or an entry's
	entry     *entry   // the entry being read; nil outside
	pending   []string // pointers to members k whose object has not told its kty
	mark      int      // where those of the innermost object begin
	keys      []Key
	number    uint64 // of spiffe_sequence, when sequenced is 1
	sequenced int
}

// ktyState is what an object says of its kind.
type ktyState uint8

const (
	ktyMissing ktyState = iota
	ktyAsymmetric
	ktyOther
)

func newWalker(in []byte) *walker {
	w := &walker{in: in, check: mayBeIllFormed(in), path: make([]step, 0, 8)}
	w.sink = &w.doc
	return w
}

// document reads the whole of it. With entries, each element of the top-level
// member keys becomes a Key; otherwise nothing is one.
func (w *walker) document(entries bool) {
	w.at = skipSpace(w.in, w.at)
	if !entries {
		w.value()
		w.settle(ktyMissing, true)
		return
	}
	w.object(func(name []byte) {
		switch {
		case string(name) == "keys":
			w.array(w.readEntry)
		case string(name) == "spiffe_sequence":
			w.sequence()
		case equalFold(name, "keys"):
			w.note(CaseVariant, "equals keys but for case: some decoders read it in its place")
			w.value()
		default:
			w.value()
		}
	})
	w.settle(ktyMissing, true)
}

// sequence reads the value of spiffe_sequence.
func (w *walker) sequence() {
	start := w.at
	w.value()
	w.sequenced++
	if n, err := strconv.ParseUint(string(w.in[start:w.at]), 10, 63); err == nil {
		w.number = n
	} else {
		w.sequenced++ // no integer is none
	}
}

// readEntry reads one element of keys.
func (w *walker) readEntry() {
	index := w.path[len(w.path)-1].index
	e := &entry{w: w, index: index}
	w.sink, w.entry = &e.notes, e
	start := w.at
	kind := w.in[start]
	outer := w.mark
	w.mark = len(w.pending)
	if kind == '{' {
		w.object(func(name []byte) { e.member(name) })
	} else {
		w.value()
	}
	w.settle(ktyMissing, true)
	w.mark = outer
	e.raw, e.object = w.in[start:w.at], kind == '{'
	w.keys = append(w.keys, e.key())
	w.sink, w.entry = &w.doc, nil
}

// value reads one value of any kind.
func (w *walker) value() {
	switch w.in[w.at] {
	case '{':
		w.object(func([]byte) { w.value() })
	case '[':
		w.array(w.value)
	case '"':
		raw := w.take()
		w.text(raw)
		if string(unquote(raw)) == Redacted {
			w.privateText()
		}
	default:
		w.take()
	}
}

// array reads an array; each must read one element.
func (w *walker) array(each func()) {
	w.at = skipSpace(w.in, w.at+1)
	w.path = append(w.path, step{})
	for i := 0; w.in[w.at] != ']'; i++ {
		w.path[len(w.path)-1].index = i
		each()
		w.at = skipSpace(w.in, w.at)
		if w.in[w.at] == ',' {
			w.at = skipSpace(w.in, w.at+1)
		}
	}
	w.path = w.path[:len(w.path)-1]
	w.at++
}

// object reads an object; each must read the value of one member, except of
// the private ones, which end here.
func (w *walker) object(each func(name []byte)) {
	var seen names
	kty, outer := ktyMissing, w.mark
	w.mark = len(w.pending)
	w.at = skipSpace(w.in, w.at+1)
	w.path = append(w.path, step{})
	for w.in[w.at] != '}' {
		raw := w.take()
		name := unquote(raw)
		w.path[len(w.path)-1].name = name
		w.text(raw)
		if seen.again(name) {
			w.note(RepeatedMember, "the name stands more than once in one object")
		}
		if string(name) == Redacted {
			w.privateText()
		}
		w.at = skipSpace(w.in, skipSpace(w.in, w.at)+1) // the colon
		start := w.at
		each0 := each
		if private, ok := privateName(name); ok {
			each0 = func([]byte) { w.held(private) }
			if w.entry != nil && len(w.path) == 3 {
				w.entry.named(name)
			}
		}
		each0(name)
		if equalFold(name, "kty") {
			kty = max(kty, stateOf(w.in[start:w.at]))
		}
		w.at = skipSpace(w.in, w.at)
		if w.in[w.at] == ',' {
			w.at = skipSpace(w.in, w.at+1)
		}
	}
	w.path = w.path[:len(w.path)-1]
	w.at++
	w.settle(kty, false)
	w.mark = outer
	w.pending = w.pending[:min(len(w.pending), outer+maxNotes)]
}

// stateOf reads the value of a kty. RFC 7517 section 4.1: it is case-sensitive,
// so "rsa" is an unknown kind.
func stateOf(raw []byte) ktyState {
	if raw[0] == '"' {
		switch string(unquote(raw)) {
		case "RSA", "EC", "OKP", "AKP":
			return ktyAsymmetric
		}
	}
	return ktyOther
}

// held reads the value of a private member: after redaction either empty or the
// mark that something stood there.
func (w *walker) held(name string) {
	start := w.at
	w.skip()
	if emptyValue(w.in[start:w.at]) {
		return
	}
	w.secret = true
	w.marked(name, w.in[start:w.at])
	if name != "k" {
		w.leak(name, "")
		return
	}
	// All of one object are settled alike, so more would tell nothing.
	if len(w.pending)-w.mark < maxNotes {
		w.pending = append(w.pending, w.pointer())
	}
}

// marked notes what stands in place of a secret and says more of it.
func (w *walker) marked(name string, raw []byte) {
	if w.entry == nil || len(w.path) != 3 {
		return
	}
	switch string(raw) {
	case `"` + redactedProven + `"`:
		w.note(PrivateProven, "is the private half of this key: "+name)
	case `"` + redactedPublic + `"`:
		w.note(PublicSecret, "the secret is a public key of this set")
	}
}

// settle decides on the members k noted in the innermost object: kty is that
// object's, and one without leaves them to the object around it. RFC 7518 gives
// k a meaning in oct keys only, but what kind of key an unknown kty names nobody
// can say.
func (w *walker) settle(kty ktyState, last bool) {
	if kty == ktyMissing && !last {
		return
	}
	for _, p := range w.pending[w.mark:] {
		if kty != ktyAsymmetric {
			w.leak("k", p)
		}
	}
	w.pending = w.pending[:w.mark]
}

// leak notes a private member that has a value; without a pointer it is the one
// being read.
func (w *walker) leak(name, pointer string) {
	d := Defect{Code: PrivateMember, Pointer: pointer, Text: "private member " + name}
	if w.entry == nil {
		d.Code, d.Text = StrayPrivate, d.Text+" outside the entries of keys"
	} else if name == "k" {
		d.Code, d.Text = SymmetricKey, "the secret of a symmetric key"
	}
	if w.entry != nil && !slices.Contains(w.entry.private, name) {
		w.entry.private = append(w.entry.private, name)
	}
	if w.sink.full(d.Code) {
		return
	}
	if d.Pointer == "" {
		d.Pointer = w.pointer()
	}
	w.sink.add(d)
}

func (w *walker) privateText() {
	w.secret = true
	if w.entry == nil {
		w.note(StrayPrivate, "text of a private key outside the entries of keys")
		return
	}
	w.note(PrivateText, "text of a private key")
}

// text checks a string or a name.
func (w *walker) text(raw []byte) {
	if w.check && !wellFormed(raw) {
		w.note(InvalidUTF8, "ill-formed UTF-8 or an unpaired surrogate")
	}
}

func (w *walker) pointer() string { return pointer(w.path) }

// note records a defect at the place that is being read.
func (w *walker) note(code Code, text string) {
	if !w.sink.full(code) {
		w.sink.add(Defect{Code: code, Pointer: w.pointer(), Text: text})
	}
}

// take reads a string, a number or a literal.
func (w *walker) take() []byte {
	start := w.at
	w.skip()
	return w.in[start:w.at]
}

func (w *walker) skip() { w.at = skipValue(w.in, w.at) }
