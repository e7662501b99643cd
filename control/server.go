package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/query"
)

// Bounds of what the socket takes and waits for.
const (
	maxQuestions  = 16 // answered at once
	maxFollowers  = 8  // of them, those that have no end
	maxHeader     = 16 << 10
	headerTimeout = 5 * time.Second
	idleTimeout   = 10 * time.Second
	writeTimeout  = 10 * time.Second // of each piece: who reads more slowly is let go
	stopTimeout   = 2 * time.Second  // for questions under way when the daemon stops
)

// Server answers at the socket. What is nil cannot be asked for.
type Server struct {
	Path    string        // of the socket; see DefaultPath
	Answers query.Answers // of the running daemon; it is not closed
	// Reload loads the configuration again. A refused one is no error.
	Reload func(context.Context) (ReloadResult, error)
	// Backup writes a copy of the state.
	Backup func(context.Context, io.Writer) error
	// Approve announces or accepts a change, Revoke takes that back, Approvals lists
	// what was announced.
	Approve   func(context.Context, Grant) (ApprovalRow, error)
	Revoke    func(ctx context.Context, id, by, reason string) (ApprovalRow, error)
	Approvals func(context.Context) ([]ApprovalRow, error)
	// Replay sends a sink again what was observed since a time. Errors:
	// *query.Problem for a sink that is not known.
	Replay func(ctx context.Context, sink string, since time.Time) (ReplayResult, error)
	// Drill sends a test event through every sink.
	Drill func(ctx context.Context, endpoint, scenario string, timeout time.Duration) (DrillResult, error)
	// Healthy says why the daemon does not do its work, nil when it does.
	Healthy func(context.Context) error
	Log     zerolog.Logger

	listener net.Listener
	patience time.Duration // with who follows; 0 means writeTimeout
}

// Listen makes the socket, so that who asks from now on is answered once Serve
// runs. The caller holds the lock of the state. Errors: a path that is too long
// or taken, and those of the file system.
func (s *Server) Listen() error {
	l, err := listen(context.Background(), s.Path, s.Log)
	if err != nil {
		return fmt.Errorf("opening the control socket: %w", err)
	}
	s.listener = l
	return nil
}

// Serve answers until the context ends, and Listens first if nobody did. Then
// the socket is removed, what is followed ends at once, and questions under way
// have two seconds.
func (s *Server) Serve(ctx context.Context) error {
	if s.listener == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	srv := &http.Server{
		Handler:           s.handler(ctx),
		BaseContext:       func(net.Listener) context.Context { return work },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(s.Log, "", 0),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(work, stopTimeout)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			abort()
			_ = srv.Close()
		}
	})
	err := srv.Serve(s.listener)
	if stop() { // it did not end because of the context
		return fmt.Errorf("serving the control socket: %w", errors.Join(err, srv.Close()))
	}
	<-stopped
	return nil
}

// desk is what the handlers share.
type desk struct {
	*Server
	stop      context.Context // of the daemon; lives as long as Serve
	questions chan struct{}
	followers chan struct{}
}

func (s *Server) handler(stop context.Context) http.Handler {
	d := &desk{Server: s, stop: stop, questions: make(chan struct{}, maxQuestions), followers: make(chan struct{}, maxFollowers)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", d.status)
	mux.HandleFunc("GET /v1/endpoints", d.endpoints)
	mux.HandleFunc("GET /v1/events", d.events)
	mux.HandleFunc("GET /v1/keys", d.keys)
	for path, ask := range map[string]http.HandlerFunc{"event/{id}": d.event, "history/{name}": d.history, "show/{name}": d.show} {
		mux.HandleFunc("GET /v1/"+path, ask)
		folder, _, _ := strings.Cut(path, "{")
		mux.HandleFunc("GET /v1/"+folder+"{$}", ask) // no name at all is unknown like any other
	}
	mux.HandleFunc("GET /v1/health", d.health)
	mux.HandleFunc("GET /v1/approvals", d.approvals)
	mux.HandleFunc("POST /v1/approve", d.approve)
	mux.HandleFunc("POST /v1/drill", d.drill)
	mux.HandleFunc("POST /v1/revoke", d.revoke)
	mux.HandleFunc("POST /v1/reload", d.reload)
	mux.HandleFunc("POST /v1/backup", d.backup)
	mux.HandleFunc("POST /v1/replay", d.replay)
	return d.bounded(mux)
}

// bounded holds what is true of every question: it has no body, and it is one
// of not too many.
func (d *desk) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // the server would wait for what nobody reads
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusRequestEntityTooLarge, failure{Code: string(query.BadQuestion), Message: "a question has no body"})
			return
		}
		select {
		case d.questions <- struct{}{}:
			defer func() { <-d.questions }()
			next.ServeHTTP(w, r)
		default:
			refuse(w, http.StatusServiceUnavailable, failure{Code: codeBusy, Message: "too many questions at once"})
		}
	})
}

// inTime gives the peer its time for the next piece.
func inTime(w http.ResponseWriter, patience time.Duration) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(cmp.Or(patience, writeTimeout))) // of a socket it never fails
}

func refuse(w http.ResponseWriter, status int, f failure) {
	inTime(w, 0)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer{f}) // the peer has gone, or it has it
}

func refuseErr(w http.ResponseWriter, err error) {
	f, status := toFailure(err)
	refuse(w, status, f)
}

// reply sends a value, or the error.
func reply(w http.ResponseWriter, v any, err error) {
	var b []byte
	if err == nil {
		b, err = json.Marshal(v)
	}
	if err != nil {
		refuseErr(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	inTime(w, 0)
	_, _ = w.Write(append(b, '\n')) // the peer has gone, or it has it
}
