package sinks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

// Log writes each event as one zerolog line, {"level":…,"time":…,
// "stream":"event","event":{…},"message":…}, with one Write a line. The members
// of the line repeat the event's; the event itself is the stored bytes.
type Log struct {
	Sink   string // name of the cursor; default "log"
	Writer io.Writer
	Format format.Format // of the member event; what is no JSON stands there as a text

	rest   []byte        // of a line that was written in part
	restID string        // the event of that line
	turn   chan struct{} // closed when the last Send has let go of Writer
}

// Name implements Sink.
func (l *Log) Name() string {
	if l.Sink == "" {
		return "log"
	}
	return l.Sink
}

// Send implements Sink. A Write that blocks, as on a pipe nobody reads, cannot
// be called back: Send then returns with ctx, and a later Send waits for it.
func (l *Log) Send(ctx context.Context, batch []state.Entry) (int, error) {
	type result struct {
		sent int
		err  error
	}
	before, done, progress := l.turn, make(chan struct{}), make(chan result, 1)
	l.turn = done
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		sent, err := l.write(ctx, batch)
		progress <- result{sent, err}
	}()
	select {
	case r := <-progress:
		return r.sent, r.err
	case <-ctx.Done():
		select {
		case r := <-progress:
			return r.sent, r.err
		default:
		}
		// How far the writer came is its own to know; a line may be repeated.
		return 0, fmt.Errorf("writing event lines: %w", ctx.Err())
	}
}

func (l *Log) write(ctx context.Context, batch []state.Entry) (int, error) {
	for i := range batch {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		line, err := l.line(&batch[i])
		if err != nil {
			return i, err
		}
		n, err := l.Writer.Write(line)
		if err == nil && n < len(line) {
			err = io.ErrShortWrite
		}
		if err != nil {
			// The rest goes out first when the writer works again: half a line
			// followed by a whole one would spoil both.
			if n > 0 {
				l.rest, l.restID = line[min(n, len(line)):], batch[i].ID
			}
			return i, fmt.Errorf("writing an event line: %w", err)
		}
		l.rest, l.restID = nil, ""
	}
	return len(batch), nil
}

// line is the line of an event, or what is still to write of it.
func (l *Log) line(e *state.Entry) ([]byte, error) {
	if l.rest != nil && l.restID == e.ID {
		return l.rest, nil
	}
	f, err := read(e)
	if err != nil {
		return nil, err
	}
	body, err := encoded(l.Format, e)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if l.rest != nil {
		buf.WriteByte('\n') // the event of the broken line will not come again
	}
	// Level and message are plain members: with Logger.WithLevel the global
	// level of zerolog, which is for operations, would swallow events.
	logger := zerolog.New(&buf)
	line := logger.Log().
		Str("level", level(f.severity)).
		Str("time", f.time).
		Str("stream", "event")
	if l.Format == format.CEF {
		line = line.Str("event", string(body))
	} else {
		line = line.RawJSON("event", body)
	}
	line.Str("message", f.message).Send()
	if buf.Len() <= 1 {
		return nil, errors.New("zerolog is switched off by its global level")
	}
	return buf.Bytes(), nil
}

// level is the zerolog level of a severity: never fatal or panic, which mean
// the end of the process to zerolog and to those who read its lines.
func level(s event.Severity) string {
	switch {
	case s >= event.SeverityHigh:
		return zerolog.LevelErrorValue
	case s == event.SeverityMedium:
		return zerolog.LevelWarnValue
	default:
		return zerolog.LevelInfoValue
	}
}
