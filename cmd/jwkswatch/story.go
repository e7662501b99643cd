package main

import (
	"fmt"
	"io"
	"os"

	"github.com/jwkswatch/jwkswatch/event"
)

// story tells the demo to a person. It has colours on a terminal only.
type story struct {
	w      io.Writer
	colour bool
}

func newStory(w io.Writer) *story {
	f, ok := w.(*os.File)
	if !ok {
		return &story{w: w}
	}
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &story{w, terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// ops is where trouble of the agent itself goes.
func (s *story) ops() io.Writer { return os.Stderr }

func (s *story) open(issuer, broker string) {
	fmt.Fprintf(s.w, "An issuer serves its keys at %s; jwkswatch polls it.\n", issuer)
	fmt.Fprintf(s.w, "Events go to NATS JetStream at %s and are read back from there.\n", broker)
}

func (s *story) act(n int, title, text string) {
	fmt.Fprintf(s.w, "\n%s\n    %s\n", s.bold(fmt.Sprintf("%2d  %s", n, title)), text)
}

func (s *story) event(e *event.Event) {
	facts := e.Data.Event
	name := string(facts.Type)
	if facts.Condition != nil && facts.Condition.State == event.Closed {
		name += " (closed)"
	}
	fmt.Fprintf(s.w, "    %s %s\n        %s\n", s.paint(facts.Severity), name, terminal(facts.Message))
}

func (s *story) whole(raw []byte) {
	fmt.Fprintf(s.w, "\n    The whole event, as it lies in JetStream:\n    %s\n", indented(raw))
}

func (s *story) close(n int) {
	fmt.Fprintf(s.w, "\n%s\n", s.bold(fmt.Sprintf("Exactly the %d expected events arrived on NATS, each once.", n)))
}

func (s *story) bold(text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

// paint gives a severity its colour, at a fixed width.
func (s *story) paint(sev event.Severity) string {
	text := fmt.Sprintf("%-13s", sev)
	if !s.colour {
		return text
	}
	code := map[event.Severity]string{
		event.SeverityInformational: "2", event.SeverityLow: "36", event.SeverityMedium: "33",
		event.SeverityHigh: "31", event.SeverityCritical: "1;41;97",
	}[sev]
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
