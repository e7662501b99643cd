package configs_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// elastic is as much of Elasticsearch as a collector needs to write by _bulk: each
// id is one document, create refuses a second one, and index takes its place.
type elastic struct {
	url string

	mu     sync.Mutex
	open   bool                       // until then it answers 503
	torn   map[string]bool            // ids that it takes once without its answer arriving
	docs   map[string]json.RawMessage // by id
	writes map[string]int             // how often an id was taken
	meta   map[string]string          // the index and the pipeline that were named
	turned int                        // requests answered with 503

	conflicts int // repetitions that create refused
}

func newElastic(t *testing.T, cert, key string) *elastic {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	e := &elastic{torn: map[string]bool{}, docs: map[string]json.RawMessage{}, writes: map[string]int{}, meta: map[string]string{}}
	s := httptest.NewUnstartedServer(http.HandlerFunc(e.serve))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	t.Cleanup(s.Close)
	e.url = s.URL
	return e
}

// do runs with the documents held.
func (e *elastic) do(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *elastic) count() (n int) {
	e.do(func() { n = len(e.docs) })
	return n
}

func (e *elastic) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	switch {
	case r.URL.Path == "/_bulk":
		e.bulk(w, r)
	case r.URL.Path == "/_license":
		_, _ = io.WriteString(w, `{"license":{"status":"active","uid":"n","type":"basic"}}`)
	default:
		_, _ = io.WriteString(w, `{"name":"n","cluster_name":"c","cluster_uuid":"u","version":{"number":"7.17.0","build_flavor":"default"},"tagline":"You Know, for Search"}`)
	}
}

func (e *elastic) bulk(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.open {
		e.turned++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var items []map[string]any
	failed, torn := false, false
	lines := bufio.NewReader(r.Body)
	for {
		head, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		doc, _ := lines.ReadBytes('\n')
		var op map[string]map[string]any
		if err := json.Unmarshal(head, &op); err != nil || len(op) != 1 || !json.Valid(doc) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		for action, about := range op {
			id := fmt.Sprint(about["_id"])
			e.meta["index"], e.meta["pipeline"] = fmt.Sprint(about["_index"]), fmt.Sprint(about["pipeline"])
			status := e.take(action, id, doc)
			item := map[string]any{"_id": id, "_index": about["_index"], "status": status}
			if status >= 300 {
				failed = true
				item["error"] = map[string]any{"type": "version_conflict_engine_exception", "reason": "document already exists"}
			}
			items = append(items, map[string]any{action: item})
			torn = torn || e.torn[id]
			delete(e.torn, id)
		}
	}
	if torn { // it has them, and who wrote them does not know
		w.WriteHeader(http.StatusGatewayTimeout)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"took": 1, "errors": failed, "items": items})
}

func (e *elastic) take(action, id string, doc []byte) int {
	_, exists := e.docs[id]
	if action == "create" && exists {
		e.conflicts++
		return http.StatusConflict
	}
	e.docs[id] = doc
	e.writes[id]++
	if exists {
		return http.StatusOK
	}
	return http.StatusCreated
}
