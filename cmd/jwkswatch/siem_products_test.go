package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/sinks/format"
)

// productPages are those of a product: each has our side, a sample, and three queries
// at least.
func productPages() []string {
	return []string{"elastic.md", "splunk.md", "sentinel.md", "wazuh.md", "collectors.md"}
}

// block is a fenced block of a page.
type block struct{ info, text string }

func blocksOf(t *testing.T, page string) (out []block) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../docs/siem", page))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split("\n"+string(b), "\n```")
	if len(parts)%2 == 0 {
		t.Fatalf("%s: a block has no end", page)
	}
	for i := 1; i < len(parts); i += 2 {
		info, text, _ := strings.Cut(parts[i], "\n")
		out = append(out, block{info, text})
	}
	return out
}

// encoded is a golden event as a sink writes it, as members by their paths; a CEF
// event as its keys.
func encoded(t *testing.T, f format.Format, golden string) map[string][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../event/testdata/golden", golden+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		t.Fatal(err)
	}
	line, err := f.Encode(compact.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	if f == format.CEF {
		_, extension, _ := strings.Cut(string(line), "|rt=")
		pair := regexp.MustCompile(` (\w+)=`) // an equals sign in a value is escaped
		values := pair.Split(" rt="+extension, -1)[1:]
		for i, m := range pair.FindAllStringSubmatch(" rt="+extension, -1) {
			out[m[1]] = []string{values[i]}
		}
		return out
	}
	var v any
	if err := json.Unmarshal(line, &v); err != nil {
		t.Fatal(err)
	}
	flatten(out, "", v)
	return out
}

func flatten(out map[string][]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			flatten(out, strings.TrimPrefix(path+"."+name, "."), member)
		}
	case []any:
		for _, member := range v {
			flatten(out, path, member)
		}
	default:
		out[path] = append(out[path], fmt.Sprint(v))
	}
}

// TestProductPages holds the page of each product to what the agent takes and writes:
// its configuration loads, its sample is what the encoder makes of the golden event,
// and its queries name fields that events have.
func TestProductPages(t *testing.T) {
	t.Parallel()
	golden, err := filepath.Glob("../../event/testdata/golden/*.json")
	if err != nil || len(golden) < 70 {
		t.Fatalf("%d events, %v", len(golden), err)
	}
	events := map[format.Format]map[string][]string{}
	for _, f := range []format.Format{format.CloudEvents, format.ECS, format.CEF} {
		events[f] = map[string][]string{}
		for _, path := range golden {
			for name, values := range encoded(t, f, strings.TrimSuffix(filepath.Base(path), ".json")) {
				events[f][name] = append(events[f][name], values...)
			}
		}
	}
	for _, page := range productPages() {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			stanzas, samples, queries := 0, 0, 0
			for _, b := range blocksOf(t, page) {
				kind, rest, _ := strings.Cut(b.info, " ")
				switch kind {
				case "yaml":
					stanzas++
					loads(t, b.text)
				case "sample":
					samples++
					name, golden, _ := strings.Cut(rest, " ")
					sampled(t, page, b.text, format.Format(name), encoded(t, format.Format(name), golden))
				case "query":
					queries++
					queried(t, b.text, format.Format(rest), events[format.Format(rest)])
				case "sh":
				default:
					t.Errorf("a block of an unknown kind: %q", b.info)
				}
			}
			if stanzas == 0 || samples == 0 || queries < 3 {
				t.Errorf("%d configurations, %d samples, %d queries", stanzas, samples, queries)
			}
			sleeps(t, page)
		})
	}
}

// sleeps holds that no drill calls anybody at night: the page of the night leaves
// drills out by themselves, or by the level that they have in Wazuh.
func sleeps(t *testing.T, page string) {
	t.Helper()
	for _, b := range blocksOf(t, page) {
		if !regexp.MustCompile(`(?i)severity(_id)?\)? ?>= ?\d|rule.level >= 12`).MatchString(b.text) || !strings.HasPrefix(b.info, "query") {
			continue
		}
		for _, apart := range []string{`not tags: "drill"`, "data.event.drill=false", `FlexString2 != "true"`, "rule.level >= 12", ".data.event.drill != true"} {
			if strings.Contains(b.text, apart) {
				return
			}
		}
		t.Errorf("a drill is a page of the night:\n%s", b.text)
		return
	}
	t.Error("no query is the page of the night")
}

// loads holds that sinks of a page are taken, whatever files they need.
func loads(t *testing.T, text string) {
	t.Helper()
	dir := t.TempDir()
	// What the page names and the reader has: a certificate and credentials.
	ca, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "forwarder-ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate().Raw})))
	write(t, dir, "hook.key", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n")
	write(t, dir, "nats.creds", "-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n")
	path := write(t, dir, "jwkswatch.yaml", "state: { path: ./jwkswatch.db }\nendpoints:\n  - { name: corp-idp, issuer: \"https://login.corp.example\" }\n"+text)
	if _, err := configs.Load(path); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

// sampled holds each line of a sample, a path and its value, to the event. With -update
// the page gets the values anew, but for those of which an event has several.
func sampled(t *testing.T, page, text string, f format.Format, is map[string][]string) {
	t.Helper()
	if *update && f != format.CEF {
		text = renewed(t, page, text, is)
	}
	lines := 0
	for line := range strings.Lines(text) {
		path, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		value = strings.TrimSpace(value)
		lines++
		if f == format.CEF {
			var column string
			value, column, _ = strings.Cut(value, "   ")
			if columns()[column] != path {
				t.Errorf("%s is not the column of %s", column, path)
			}
			if path == "rt" {
				at, err := time.Parse(time.RFC3339, value)
				if err != nil {
					t.Error(err)
				}
				value = fmt.Sprint(at.UnixMilli())
			}
		}
		if !slices.Contains(is[path], value) {
			t.Errorf("%s is %q, the page says %q", path, is[path], value)
		}
	}
	if lines < 5 {
		t.Errorf("a sample of %d lines", lines)
	}
}

// renewed writes the values of a sample into the page.
func renewed(t *testing.T, page, text string, is map[string][]string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(text) {
		path, value, _ := strings.Cut(line, " ")
		if all := is[path]; len(all) == 1 {
			line = path + strings.Repeat(" ", 1+len(value)-len(strings.TrimLeft(value, " "))) + all[0] + "\n"
		}
		b.WriteString(line)
	}
	anew := strings.TrimSuffix(b.String(), "\n")
	file := filepath.Join("../../docs/siem", page)
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(src, []byte(text), []byte(anew), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	return anew
}

// columns are those of CommonSecurityLog and the CEF keys that they are made of.
func columns() map[string]string {
	return map[string]string{
		"ReceiptTime": "rt", "ExtID": "externalId", "DeviceAction": "act", "EventOutcome": "outcome", "Message": "msg",
		"DeviceCustomString1": "cs1", "DeviceCustomString2": "cs2", "DeviceCustomString3": "cs3", "DeviceCustomString5": "cs5",
		"DeviceExternalID": "deviceExternalId", "DestinationHostName": "dhost", "FlexString2": "flexString2",
	}
}

// queried holds that the fields of a query are in some event as that format has it, and
// that what the query compares them with is a value of one: a misspelt type would find
// nothing for ever.
func queried(t *testing.T, text string, f format.Format, events map[string][]string) {
	t.Helper()
	known, values := map[string]bool{}, map[string]bool{}
	for name, all := range events {
		known[name] = true
		for _, v := range all {
			values[v] = true
		}
	}
	// Names of the header, of the product, and of the drill that no golden event is.
	for _, name := range []string{"DeviceVendor", "DeviceProduct", "LogSeverity", "Activity", "TimeGenerated", "FlexString2", "AdditionalExtensions", "rule.groups", "rule.level"} {
		known[name] = true
	}
	pattern := `[a-z_]+(?:\.[a-z_]+)+`
	if f == format.CEF {
		pattern = `\b[A-Z][a-z]+[A-Z][A-Za-z0-9]+\b`
	}
	for _, m := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if v := m[1]; !values[v] && !strings.Contains(" jwkswatch drill true jwkswatch:event T THUMBPRINT -5m externalId=([^;]+) ", " "+v+" ") {
			t.Errorf("no event has the value %q:\n%s", v, text)
		}
	}
	found := 0
	plain := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(text, `""`)
	for _, name := range regexp.MustCompile(pattern).FindAllString(plain, -1) {
		if name == "CommonSecurityLog" {
			continue
		}
		if key, is := columns()[name]; is && f == format.CEF {
			name = key
		}
		if found++; !known[name] && !known[strings.TrimPrefix(name, ".")] && name != "flexString2" {
			t.Errorf("no event has %s:\n%s", name, text)
		}
	}
	if found == 0 {
		t.Errorf("a query without a field:\n%s", text)
	}
}

// TestSIEMIndex holds that every page is in the table of the first one.
func TestSIEMIndex(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile("../../docs/siem/README.md")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/siem/*.md")
	if err != nil || len(pages) < 9 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(string(index), "]("+name+")") {
			t.Errorf("%s is not in the index", name)
		}
	}
	correlations, err := filepath.Glob("../../configs/sigma/correlation_*.yml")
	if err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob("../../configs/sigma/*.yml")
	if says := fmt.Sprintf("(%d rules, %d correlations)", len(all)-len(correlations), len(correlations)); err != nil || !strings.Contains(string(index), says) {
		t.Errorf("the index does not say %s, %v", says, err)
	}
}

// TestPagesOfSinks holds the configurations of the other pages, too.
func TestPagesOfSinks(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"file.md", "webhook.md"} {
		found := 0
		for _, b := range blocksOf(t, page) {
			if b.info == "yaml" && strings.HasPrefix(b.text, "sinks:") {
				found++
				loads(t, b.text)
			}
		}
		if found == 0 {
			t.Errorf("%s has no configuration", page)
		}
	}
}

// TestFieldsOfAnEvent holds what the page of Splunk says: by default it makes fields of
// the first hundred members only.
func TestFieldsOfAnEvent(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../event/testdata/golden/*.json")
	if err != nil || len(paths) < 70 {
		t.Fatalf("%d events, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		if n := len(encoded(t, format.CloudEvents, name)); n > 100 {
			t.Errorf("%s has %d fields", name, n)
		}
	}
}

// TestUnitAndFiles holds the shipped unit to the pages: it may write where they say, and
// leaves the group the right to read.
func TestUnitAndFiles(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	value := func(key string) string {
		m := regexp.MustCompile(`(?m)^` + key + `=(.*)$`).FindSubmatch(b)
		if m == nil {
			t.Fatalf("the unit has no %s", key)
		}
		return string(m[1])
	}
	mask, err := strconv.ParseUint(value("UMask"), 8, 32)
	if err != nil || mask&0o040 != 0 || mask&0o007 != 0o007 {
		t.Errorf("the mask %o takes the group's right to read, or leaves everybody one: %v", mask, err)
	}
	folder, files := "/var/log/"+value("LogsDirectory")+"/", 0
	for _, page := range append(productPages(), "file.md") {
		text, err := os.ReadFile(filepath.Join("../../docs/siem", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`path: (/[^ ,\n]+)`).FindAllSubmatch(text, -1) {
			if files++; !strings.HasPrefix(string(m[1]), folder) {
				t.Errorf("%s writes to %s, and the unit may not", page, m[1])
			}
		}
	}
	if files < 4 {
		t.Errorf("%d files", files)
	}
}
