package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/jwkswatch/jwkswatch/event"
)

// Phase says how far a request came.
type Phase string

// The phases.
const (
	PhaseResolve Phase = "resolve" // the name has no address, or nobody could say
	PhaseDial    Phase = "dial"    // no connection
	PhaseRefused Phase = "refused" // by this package: URL, header or address
	PhaseTLS     Phase = "tls"     // handshake, certificate, or an alert after it
	PhaseStatus  Phase = "status"  // for callers: an answer that is not 200
	PhaseRead    Phase = "read"    // no complete HTTP answer
	PhaseSize    Phase = "size"    // headers or body larger than allowed
	PhaseTimeout Phase = "timeout" // not done in time, whatever it was; except resolving
)

// maxErrorText is the longest text of an Error, in octets.
const maxErrorText = 300

// Error says why there is no Response. What Get returns never quotes the URL, a
// request header or what the peer sent as HTTP.
type Error struct {
	Phase Phase
	Code  Code // "" where the phase says it all
	Err   error
	// Alias is, with CodeNXDomain, the name that does not exist when the target's
	// own name is an alias of it; as the name server says, cleaned.
	Alias string
	// Leaf is the certificate that was refused, nil when it was none.
	Leaf *Leaf
	// Redirect is the last one, with CodeRedirect.
	Redirect *Redirect
}

// Error returns at most 300 octets without control characters.
func (e *Error) Error() string {
	text := string(e.Phase)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return short(text)
}

func (e *Error) Unwrap() error { return e.Err }

// told is an error with another text, for causes whose own text may hold what
// must not be shown. The text of every Err that Get returns comes from here or
// from this package, so that printing Err alone is safe too.
type told struct {
	text  string
	cause error
}

func (t *told) Error() string { return t.text }
func (t *told) Unwrap() error { return t.cause }

func tooLarge(limit int64) error {
	return &Error{Phase: PhaseSize, Err: fmt.Errorf("body is larger than %d octets", limit)}
}

// describe turns what went wrong into what the caller of Get receives.
func describe(t Target, served *conn, took time.Duration, err error) *Error {
	phase, text := classify(served, took.Round(10*time.Millisecond), err)
	made := &Error{Phase: phase}
	// An Error of our own is unwrapped: what it knows is in the new one.
	if e, ok := errors.AsType[*Error](err); ok {
		made.Code, made.Leaf, made.Redirect = e.Code, e.Leaf, e.Redirect
		err = e.Err
	}
	if made.Leaf != nil {
		made.Leaf.Issuer = scrub(made.Leaf.Issuer, t)
	}
	made.Err = &told{short(scrub(text, t)), err}
	return made
}

func classify(served *conn, took time.Duration, err error) (Phase, string) {
	if e, ok := errors.AsType[*Error](err); ok { // made where the phase was known
		return e.Phase, e.Err.Error()
	}
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case isTimeout(err) && served == nil:
		return PhaseTimeout, fmt.Sprintf("no connection after %v", took)
	case isTimeout(err):
		return PhaseTimeout, fmt.Sprintf("no complete answer after %v", took)
	// TLS 1.3 tells the client that its certificate is missing only after the
	// handshake, in place of the answer.
	case isOp && (op.Op == "remote error" || op.Op == "local error"):
		return PhaseTLS, op.Error()
	// The transport has no error value for this.
	case strings.Contains(err.Error(), "server response headers exceeded"):
		return PhaseSize, fmt.Sprintf("headers are larger than %d octets", maxHeader)
	default:
		return PhaseRead, readText(err)
	}
}

// readText says what went wrong with an answer in words of our own. net/http
// quotes the line it cannot read, and a hostile peer may put there the secret
// header that it was just sent.
func readText(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return "malformed header"
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the end of the answer"
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return "connection closed without an answer"
	}
	text, _, _ := strings.Cut(err.Error(), `"`)
	return strings.TrimRight(text, " :")
}

func dialError(err error) error {
	if e, ok := errors.AsType[*Error](err); ok { // a Dial hook that knows better
		return e
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return &Error{Phase: PhaseRefused, Err: r}
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return &Error{Phase: PhaseResolve, Err: err}
	}
	if _, ok := errors.AsType[*net.AddrError](err); ok { // no address of a usable family
		return &Error{Phase: PhaseResolve, Code: CodeNoAddress, Err: err}
	}
	if isTimeout(err) {
		return &Error{Phase: PhaseTimeout, Err: &told{"connecting: " + err.Error(), err}}
	}
	return &Error{Phase: PhaseDial, Err: err}
}

func tlsError(err error) error {
	if isTimeout(err) {
		return &Error{Phase: PhaseTimeout, Err: &told{fmt.Sprintf("no TLS handshake within %v", tlsTimeout), err}}
	}
	if errors.Is(err, io.EOF) {
		return &Error{Phase: PhaseTLS, Err: &told{"connection closed in the handshake", err}}
	}
	code, leaf := judged(err)
	return &Error{Phase: PhaseTLS, Code: code, Leaf: leaf, Err: err}
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// Scrub removes from a text of the server the secrets that the target's request
// brings: header values and values of its query.
func (t Target) Scrub(text string) string { return scrub(text, t) }

// scrub removes the secrets of a target from a text. They are not meant to get
// there, but a certificate may name a header value that an earlier poll sent.
func scrub(text string, t Target) string {
	const shortest = 6 // a shorter value is no secret, and would tear words apart
	if text == "" || len(t.Header) == 0 && !strings.Contains(t.URL, "?") {
		return text
	}
	for _, values := range t.Header {
		for _, value := range values {
			// "Bearer x": the part alone is the secret as well.
			for _, secret := range append(strings.Fields(value), value) {
				if len(secret) >= shortest {
					text = strings.ReplaceAll(text, secret, masked)
				}
			}
		}
	}
	for _, secret := range queryValues(t.URL) {
		if len(secret) >= shortest {
			text = strings.ReplaceAll(text, secret, masked)
		}
	}
	return text
}

// short cleans a text and cuts it to maxErrorText between two characters.
func short(text string) string { return clip(text, maxErrorText) }

// clip cleans a text and cuts it to a number of octets between two characters.
func clip(text string, octets int) string {
	const ellipsis = "…"
	text = event.Text(text)
	if len(text) <= octets {
		return text
	}
	cut := octets - len(ellipsis)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + ellipsis
}
