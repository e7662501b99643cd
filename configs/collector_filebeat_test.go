package configs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/sinks/format"
)

// TestFilebeat runs the shipped configuration: each line of the file sink is one
// document under the id of its event, with every member as it was written, though
// Filebeat is killed while Elasticsearch takes nothing, the file is rotated while it
// is down, and an answer is lost.
func TestFilebeat(t *testing.T) {
	filebeat := tool(t, "filebeat")
	cert, key := certificate(t)
	dir := t.TempDir()
	events := filepath.Join(dir, "events.jsonl")
	config, err := filepath.Abs("filebeat/filebeat.yml")
	if err != nil {
		t.Fatal(err)
	}
	es := newElastic(t, cert, key)
	run := func() *process {
		return start(t, []string{"JWKSWATCH_EVENTS=" + events, "ELASTICSEARCH_URL=" + es.url, "SSL_CERT_FILE=" + cert},
			filebeat, "-e", "-c", config, "--path.home", dir, "--strict.perms=false")
	}
	sent := feed(t)
	es.torn[sent[3].ID] = true
	sink := &sinks.File{Sink: "archive", Path: events, Format: format.ECS, MaxSize: 96 << 10, Keep: 10}
	defer func() { _ = sink.Close() }()
	write := func(from, to int) {
		t.Helper()
		if n, err := sink.Send(t.Context(), sent[from:to]); err != nil || n != to-from {
			t.Fatalf("%d of %d are written: %v", n, to-from, err)
		}
	}

	write(0, 20)
	p := run()
	eventually(t, p, "it is turned away", func() (turned bool) {
		es.do(func() { turned = es.turned > 0 })
		return turned
	})
	p.stop(t, os.Kill)
	write(20, len(sent)-10) // some of it into new files
	if _, err := os.Stat(events + ".1"); err != nil {
		t.Fatalf("the file was not rotated: %v", err)
	}
	es.do(func() { es.open = true })
	p = run()
	eventually(t, p, "all have arrived", func() bool { return es.count() == len(sent)-10 })
	write(len(sent)-10, len(sent))
	eventually(t, p, "the rest has arrived", func() bool { return es.count() == len(sent) })
	p.stop(t, os.Interrupt)

	if es.meta["index"] != "jwkswatch-events" || es.meta["pipeline"] != "jwkswatch" || es.conflicts == 0 {
		t.Errorf("%v, %d repetitions were refused", es.meta, es.conflicts)
	}
	for _, e := range sent {
		doc, ok := es.docs[e.ID]
		if !ok {
			t.Errorf("%s (%s) did not arrive", e.ID, e.Type)
			continue
		}
		if es.writes[e.ID] != 1 {
			t.Errorf("%s (%s) was written %d times", e.ID, e.Type, es.writes[e.ID])
		}
		line, err := format.ECS.Encode(e.JSON)
		if err != nil {
			t.Fatal(err)
		}
		got := decoded(t, doc)
		for _, own := range []string{"agent", "host", "input", "log"} { // what Filebeat tells of itself
			delete(got, own)
		}
		same(t, e.Type, got, withoutNull(decoded(t, line)))
	}
}

// withoutNull leaves out members that are null, as Filebeat does: to Elasticsearch it
// is the same.
func withoutNull(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if e == nil {
				delete(v, k)
				continue
			}
			v[k] = withoutNull(e)
		}
	case []any:
		for i := range v {
			v[i] = withoutNull(v[i])
		}
	}
	return v
}
