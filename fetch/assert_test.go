package fetch

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

// get fetches from a loopback server and fails the test on an error.
func get(t *testing.T, c *Client, target Target) Response {
	t.Helper()
	r, err := c.Get(t.Context(), target, nil)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return r
}

// wantPhase asserts the phase of an error and that its text is fit to be shown.
func wantPhase(t *testing.T, err error, want Phase) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error %v is not a *Error; want phase %s", err, want)
	}
	if e.Phase != want {
		t.Errorf("phase %s (%v), want %s", e.Phase, e, want)
	}
	for _, text := range []string{e.Error(), e.Err.Error()} {
		if len(text) > maxErrorText {
			t.Errorf("error text of %d octets", len(text))
		}
		if strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("control character in %q", text)
		}
	}
}

// wantText asserts that an error's text holds a part.
func wantText(t *testing.T, err error, part string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v does not say %q", err, part)
	}
}
