package configs_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestCollectors holds the configurations for collectors to their syntax, and to what
// must never be otherwise. The first lines say which test runs a file with the real
// tool, or that none does.
func TestCollectors(t *testing.T) {
	t.Parallel()
	files := 0
	ran := map[string]string{
		"redpanda-connect/jwkswatch.yaml": "TestConnect in ../collector_connect_test.go",
		"otel-collector/jwkswatch.yaml":   "TestOpenTelemetry in ../collector_otel_test.go",
		"filebeat/filebeat.yml":           "TestFilebeat in ../collector_filebeat_test.go",
	}
	for _, folder := range []string{"vector", "redpanda-connect", "logstash", "fluent-bit", "filebeat", "elastic", "splunk", "wazuh", "otel-collector"} {
		paths, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(paths) == 0 {
			t.Errorf("%s: %d files, %v", folder, len(paths), err)
		}
		for _, path := range paths {
			files++
			text := read(t, path)
			says := "Not run here"
			if test, ok := ran[path]; ok {
				says = "Run by a test with "
				name, file, _ := strings.Cut(test, " in ../")
				if !strings.Contains(text, test) || !strings.Contains(read(t, file), "func "+name+"(") {
					t.Errorf("%s does not name %s, or there is no such test", path, test)
				}
			}
			if !strings.Contains(strings.SplitN(text, "\n\n", 2)[0], says) {
				t.Errorf("%s does not say: %s", path, says)
			}
			var err error
			switch filepath.Ext(path) {
			case ".yaml", ".yml":
				var v map[string]any
				err = yaml.Unmarshal([]byte(text), &v)
			case ".json":
				var v map[string]any
				err = json.Unmarshal([]byte(text), &v)
			case ".xml":
				d := xml.NewDecoder(strings.NewReader(text))
				for err == nil {
					_, err = d.Token()
				}
				if errors.Is(err, io.EOF) {
					err = nil
				}
			case ".conf":
				if strings.Count(text, "{") != strings.Count(text, "}") {
					err = errors.New("a brace is missing")
				}
			default:
				err = errors.New("no test reads it")
			}
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	if files < 12 {
		t.Errorf("%d files", files)
	}
	// An alert that looks back by the time of the observation never sees what came late.
	if page := strings.SplitN(read(t, "splunk/savedsearches.conf"), "\n[", 3)[1]; !strings.Contains(page, "_index_earliest=-6m@m") || !strings.Contains(page, "dispatch.earliest_time = -30d") {
		t.Errorf("the page of the night misses what came late:\n%s", page)
	}
	// The core input answers our publishes with +ACK: see docs/siem/nats.md.
	var connect struct{ Input map[string]any }
	if err := yaml.Unmarshal([]byte(read(t, "redpanda-connect/jwkswatch.yaml")), &connect); err != nil || len(connect.Input) != 1 || connect.Input["nats_jetstream"] == nil {
		t.Errorf("the input of Redpanda Connect is %v, %v", connect.Input, err)
	}
	var vector struct {
		Sources map[string]struct {
			SubjectKey string `yaml:"subject_key_field"`
			JetStream  struct{ Stream, Consumer string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "vector/jwkswatch.yaml")), &vector); err != nil || vector.Sources["jwkswatch"].SubjectKey != "nats_subject" || vector.Sources["jwkswatch"].JetStream.Consumer == "" {
		t.Errorf("the source of Vector is %+v, %v", vector, err)
	}
}

// TestCollectorsNameMembersThatExist holds the paths of members of an event in the
// configurations to the schema of the event.
func TestCollectorsNameMembersThatExist(t *testing.T) {
	t.Parallel()
	sample := goldens(t)["key.mutated"]
	for _, path := range []string{"vector/jwkswatch.yaml", "splunk/props.conf", "splunk/savedsearches.conf", "wazuh/rules.xml", "otel-collector/jwkswatch.yaml"} {
		found := 0
		for _, m := range regexp.MustCompile(`data\.[a-z_]+\.[a-z_]+`).FindAllString(read(t, path), -1) {
			found++
			if _, ok := lookup(sample, m); !ok {
				t.Errorf("%s: no event has %s", path, m)
			}
		}
		if found == 0 {
			t.Errorf("%s names no member of an event", path)
		}
	}
}
