package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
)

func TestLearnedValues(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	var list []history.Value
	for i := range 4 {
		list = history.Met(list, fmt.Sprint("v", i), start.Add(time.Duration(i)*time.Hour), 4)
	}
	before := list
	list = history.Met(list, "v0", start.Add(5*time.Hour), 4) // seen again: v1 is the oldest now
	list = history.Met(list, "new", start.Add(4*time.Hour), 4)
	if len(list) != 4 || history.Knows(list, "v1") || !history.Knows(list, "v0") || !history.Knows(list, "new") {
		t.Errorf("%+v", list)
	}
	if history.Newest(list) != "v0" || history.Newest(nil) != "" {
		t.Errorf("newest is %q", history.Newest(list))
	}
	if before[0].Count != 1 || !before[0].Last.Equal(start) {
		t.Errorf("the list before was changed: %+v", before[0])
	}
	if list[0].Count != 2 || !list[0].First.Equal(start) || !list[0].Last.Equal(start.Add(5*time.Hour)) {
		t.Errorf("%+v", list[0])
	}
}
