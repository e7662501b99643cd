package watcher

import (
	"testing"

	"github.com/jwkswatch/jwkswatch/rules"
)

func TestRecent(t *testing.T) {
	t.Parallel()
	for polls, want := range map[string]rules.Recent{
		"":        {},
		"+":       {Polls: 1},
		"-":       {Polls: 1, Failed: 1, Rows: 1},
		"+--+-+-": {Polls: 7, Failed: 4, Rows: 3},
		"--+":     {Polls: 3, Failed: 2, Rows: 1},
	} {
		var r recent
		for _, p := range polls {
			r.note(p == '-')
		}
		if got := *r.counts(); got != want {
			t.Errorf("%s: %+v, want %+v", polls, got, want)
		}
	}
	var r recent
	for range 100 {
		r.note(true)
	}
	for range 49 {
		r.note(false)
	}
	if got := *r.counts(); got != (rules.Recent{Polls: 50, Failed: 1, Rows: 1}) {
		t.Errorf("%+v", got)
	}
	r.note(false)
	if got := *r.counts(); got != (rules.Recent{Polls: 50}) {
		t.Errorf("%+v", got)
	}
}
