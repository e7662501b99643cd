package main

import (
	"bytes"
	stdlog "log"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestLibraryTextIsNotRepeated holds that what a server sends beyond its answer,
// which net/http quotes, does not reach the log: it may be what we sent.
func TestLibraryTextIsNotRepeated(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := stdlog.New(library{zerolog.New(&out)}, "", 0)
	l.Print(`Unsolicited response received on idle HTTP channel starting with "HTTP/1.1 500 \x1b[31mTOPSECRETVALUE"; err=<nil>`)
	if s := out.String(); strings.Contains(s, "TOPSECRET") || !strings.Contains(s, "more than it was asked for") {
		t.Error(s)
	}
	out.Reset()
	l.Print("another word\x1b[2J")
	if s := out.String(); !strings.Contains(s, "another word") || strings.Contains(s, "\x1b") {
		t.Error(s)
	}
}
