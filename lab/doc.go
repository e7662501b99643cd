// Package lab is the local issuer that rotates, decays and attacks. The demo,
// the drill and every hostile test use this one, so that what is shown to a
// newcomer is what the tests hold. It uses the standard library alone and only
// ever listens on loopback or on a [Pipe].
//
// # The parts
//
// A [Key] is a key pair made here; it prints its public and its private half as
// members of a JSON Web Key (RFC 7517, RFC 8037). A [Document] is a set of them
// in a fixed order of members. An [Issuer] is an http.Handler that serves one
// such document at any path, and is told to change it: Add, Remove, Mutate,
// Relabel, Alter, Leak, Empty. What goes over the wire is decided by an
// [Answer]; an Issuer without one is honest. [Issuer.Served] tells afterwards
// who was given what.
//
//	issuer := &lab.Issuer{}
//	issuer.Publish(lab.NewEC("2026-11-a", "P-256"))
//	url, stop, err := issuer.Start()
//	...
//	issuer.Mutate("2026-11-a")          // new material under the same kid
//	issuer.Answer(lab.Truncated())      // the next answers break off half way
//
// Within a testing/synctest bubble use [NewPipe] as listener and its Dial in
// the http.Transport: then a trickle of a byte a second costs no time at all.
//
// # Adding a scenario
//
// A scenario is a row in the book that [Scenarios] returns, and most rows need
// no new code: [Fixed] sends any bytes with status 200, [Status] any other
// status, [Beside] puts hostile entries next to the issuer's own keys, and
// [Alternate], [Sequence], [CoinFlip], [After] and [When] make one answer of
// several. When one is needed, write a function that returns an Answer and keep
// to these rules:
//
//   - The answer is given the issuer's current document and never keeps or
//     changes that slice. State lives in the closure, made anew by each New, and
//     is safe for concurrent requests.
//   - It ends when the request's context does, or when a write fails: that is
//     how stop leaves no goroutine behind. Wait with pause, never with
//     time.Sleep.
//   - What net/http would correct (header syntax, chunks, resets) goes through
//     raw, which takes the connection over; the writer is then dead.
//   - Large things are streamed or repeated, not held.
//   - The row's Outcome says what a careful reader makes of the answer. The test
//     TestScenariosAnswerWhatTheySay drives every row and compares, so a row
//     that does not do what it says fails there and needs no test of its own.
//   - All text is synthetic and names no real company.
//
// Names of rows are stable: they appear in command lines and in tests.
package lab
