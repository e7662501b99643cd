// Package control is the unix socket of a running daemon: questions to it, and
// the few things that it can be asked to do. It speaks HTTP/1.1, because every
// tool of an operator does:
//
//	curl --unix-socket /var/lib/jwkswatch/jwkswatch.db.sock http://jwkswatch/v1/status
//
// The socket is made by who holds the lock of the state, after the state is
// open, and removed before it is closed. So a socket file that is found at
// start is stale, and never that of a running daemon.
//
// Who may ask is decided twice: by the mode of the socket, 0600, and by the
// user of the peer, who must be that of the daemon or root. No answer holds
// secrets; a backup holds the key of the event ids.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// MaxPath is the longest path of a socket, in octets: the kernel has room for
// 108 with a zero at the end.
const MaxPath = 107

var (
	// ErrNotRunning is returned when nobody answers at the socket.
	ErrNotRunning = errors.New("no daemon answers")
	// ErrStopped ends what is followed when the daemon stops.
	ErrStopped = errors.New("the daemon has stopped")
)

// DefaultPath is where the socket of a state is.
func DefaultPath(statePath string) string { return statePath + ".sock" }

// CheckPath refuses a path that no socket can have.
func CheckPath(path string) error {
	switch n := len(path); {
	case n == 0:
		return errors.New("the path of the socket is empty")
	case n > MaxPath:
		return fmt.Errorf("the path of the socket has %d octets and may have %d: choose a shorter one", n, MaxPath)
	}
	return nil
}

// ReloadResult says what became of a new configuration.
type ReloadResult struct {
	Outcome string `json:"outcome"` // applied, unchanged, refused
	// Digest is that of the configuration that goes on, sha256:<hex>.
	Digest           string   `json:"digest"`
	File             string   `json:"file"` // that the daemon reads, absolute
	EndpointsAdded   []string `json:"endpoints_added"`
	EndpointsRemoved []string `json:"endpoints_removed"`
	EndpointsChanged []string `json:"endpoints_changed"`
	SinksAdded       []string `json:"sinks_added"`
	SinksRemoved     []string `json:"sinks_removed"`
	SinksChanged     []string `json:"sinks_changed"`
	Settings         []string `json:"settings"` // other keys whose value changed
	Shrinks          []string `json:"shrinks"`  // what is watched less than before, in words
	Problems         []string `json:"problems"` // why it was refused: file:line:col: text
}

// The outcomes of a reload.
const (
	Applied   = "applied"
	Unchanged = "unchanged"
	Refused   = "refused"
)

// Open returns who can answer questions: the daemon at the socket, or, when
// none runs, the state at rest, by a private copy that keeps no daemon from
// starting. Close gives it back. Errors: fs.ErrNotExist when there is neither,
// state.ErrLocked when the state is held by a process that does not answer,
// fs.ErrPermission, state.ErrCorrupt, bolt.ErrFormat.
func Open(ctx context.Context, socket, statePath string) (query.Answers, error) {
	c, db, err := find(ctx, socket, statePath)
	switch {
	case err != nil:
		return nil, err
	case c != nil:
		return c, nil
	}
	return &query.State{Source: db, OnClose: db.Close}, nil
}

// Backup writes a whole and consistent copy of the state: from the running
// daemon, or from the file when none runs. Errors: those of Open and of w.
func Backup(ctx context.Context, socket, statePath string, w io.Writer) error {
	c, db, err := find(ctx, socket, statePath)
	switch {
	case err != nil:
		return err
	case c != nil:
		return c.Backup(ctx, w)
	}
	return errors.Join(db.Backup(ctx, w), db.Close())
}

// find returns the one or the other.
func find(ctx context.Context, socket, statePath string) (*Client, *bolt.DB, error) {
	c := &Client{Path: socket}
	for again := true; ; again = false {
		err := c.Reach(ctx)
		if err == nil {
			return c, nil, nil
		}
		if !errors.Is(err, ErrNotRunning) {
			return nil, nil, err
		}
		db, err := bolt.OpenCopy(ctx, statePath)
		switch {
		case err == nil:
			return nil, db, nil
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil, fmt.Errorf("no daemon answers at %s, and there is no state: %w", socket, err)
		case !errors.Is(err, state.ErrLocked):
			return nil, nil, err
		case !again || ctx.Err() != nil:
			return nil, nil, fmt.Errorf("the state is in use, but nobody answers at %s: the daemon is starting or stopping, or listens elsewhere: %w", socket, err)
		}
		// A daemon that is starting has the lock before it has the socket.
	}
}

// Codes of failures that are not the question's.
const (
	codeFailed      = "failed"      // the daemon could not
	codeBusy        = "busy"        // too many ask at once
	codeUnsupported = "unsupported" // this daemon does not do it
	codeStopped     = "stopped"     // the daemon stops
)

// failure is an error on its way through the socket.
type failure struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion"`
}

// answer is the body of every answer that is not what was asked for.
type answer struct {
	Error failure `json:"error"`
}

func toFailure(err error) (failure, int) {
	if p, ok := errors.AsType[*query.Problem](err); ok {
		status := http.StatusNotFound
		switch p.Code {
		case query.BadQuestion:
			status = http.StatusBadRequest
		case query.NotRunning:
			status = http.StatusConflict
		}
		return failure{string(p.Code), p.Message, p.Suggestion}, status
	}
	if errors.Is(err, ErrStopped) {
		return failure{Code: codeStopped, Message: ErrStopped.Error()}, http.StatusServiceUnavailable
	}
	return failure{Code: codeFailed, Message: event.Text(err.Error())}, http.StatusInternalServerError
}

// err is the error on the other side.
func (f failure) err() error {
	switch f.Code {
	case codeFailed, codeBusy, codeUnsupported:
		return fmt.Errorf("the daemon says: %s", f.Message)
	case codeStopped:
		return ErrStopped
	}
	return &query.Problem{Code: query.Code(f.Code), Message: f.Message, Suggestion: f.Suggestion}
}

// trailer carries an error that comes after the first octets of an answer.
const trailer = "Jwkswatch-Error"

func encodeTrailer(err error) string {
	f, _ := toFailure(err)
	f.Message = event.Text(f.Message) // and so without DEL, which JSON lets pass and a header does not
	b, err := json.Marshal(f)
	if err != nil {
		return `{"code":"` + codeFailed + `"}`
	}
	return string(b)
}
