package format_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks/format"
)

// parseCEF is an independent reader: it knows escapes, and that a key is a word
// before an equals sign that is not escaped.
func parseCEF(line string) (header []string, fields map[string]string, err error) {
	rest, ok := strings.CutPrefix(line, "CEF:")
	if !ok {
		return nil, nil, fmt.Errorf("no CEF: in %q", line)
	}
	var field strings.Builder
	for len(header) < 7 {
		if rest == "" {
			return nil, nil, fmt.Errorf("%d fields in the header of %q", len(header), line)
		}
		switch {
		case rest[0] == '\\' && len(rest) > 1 && (rest[1] == '\\' || rest[1] == '|'):
			field.WriteByte(rest[1])
			rest = rest[2:]
		case rest[0] == '\\':
			return nil, nil, fmt.Errorf("a stray backslash in the header of %q", line)
		case rest[0] == '|':
			header = append(header, field.String())
			field.Reset()
			rest = rest[1:]
		default:
			field.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	fields = map[string]string{}
	key, value := "", ""
	put := func() error {
		if key == "" {
			return nil
		}
		if _, again := fields[key]; again {
			return fmt.Errorf("%s stands twice in %q", key, line)
		}
		fields[key] = value
		return nil
	}
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\\':
			i++
			if i == len(rest) {
				return nil, nil, fmt.Errorf("a stray backslash at the end of %q", line)
			}
			switch rest[i] {
			case '\\', '=':
				value += rest[i : i+1]
			case 'n':
				value += "\n"
			case 'r':
				value += "\r"
			default:
				return nil, nil, fmt.Errorf("escape of %q in %q", rest[i], line)
			}
		case c == '=':
			// The word before it is the next key, and what is before that the value.
			cut := strings.LastIndexByte(value, ' ')
			next := value[cut+1:]
			if cut < 0 && key != "" || next == "" {
				return nil, nil, fmt.Errorf("an equals sign without a key in %q", line)
			}
			value = value[:max(cut, 0)]
			if err := put(); err != nil {
				return nil, nil, err
			}
			key, value = next, ""
		default:
			value += rest[i : i+1]
		}
	}
	return header, fields, put()
}

// TestCEF holds the line to the header and the dictionary.
func TestCEF(t *testing.T) {
	t.Parallel()
	known := strings.Fields(`rt externalId act cat outcome msg reason cnt deviceExternalId cs1 cs1Label cs2 cs2Label cs3 cs3Label cs4 cs4Label cs5 cs5Label
		cs6 cs6Label cn1 cn1Label cn2 cn2Label flexString1 flexString1Label flexString2 flexString2Label request dhost dst dpt c6a3 c6a3Label`)
	for name, stored := range goldens(t) {
		header, fields, err := parseCEF(string(as(t, format.CEF, stored)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var e event.Event
		if err := json.Unmarshal(stored, &e); err != nil {
			t.Fatal(err)
		}
		severity := map[event.Severity]string{1: "1", 2: "3", 3: "5", 4: "8", 5: "10"}[e.Data.Event.Severity]
		if header[0] != "0" || header[1] != "jwkswatch" || header[2] != "jwkswatch" || header[3] == "" || header[4] == "" || header[5] == "" || header[6] != severity {
			t.Errorf("%s: header %q", name, header)
		}
		if fields["act"] != string(e.Data.Event.Type) || fields["externalId"] != e.ID || len(e.ID) > 40 || fields["msg"] != e.Data.Event.Message {
			t.Errorf("%s: %v", name, fields)
		}
		for key := range fields {
			if !strings.Contains(" "+strings.Join(known, " ")+" ", " "+key+" ") {
				t.Errorf("%s: %s is not in the dictionary", name, key)
			}
		}
	}
}

// FuzzCEF gives texts of an issuer and of an operator to the line: what is read
// from it is what was written, and no text makes a field of its own.
func FuzzCEF(f *testing.F) {
	f.Add("kid", "message", "title")
	f.Add(`a|b\c=d`, "x cs1=forged act=forged", `t|9|\`)
	f.Add("a\nb\r\nCEF:0|x", " leading and trailing ", "=\\")
	f.Add("\u2028\u202e", "msg=", "\\n")
	stored := goldens(f)["key.added"]
	f.Fuzz(func(t *testing.T, kid, message, title string) {
		var e event.Event
		if err := json.Unmarshal(stored, &e); err != nil {
			t.Fatal(err)
		}
		// As in an event: every text has passed event.Text.
		kid, message, title = event.Text(kid), event.Text(message), event.Text(title)
		e.Data.Key.Kid, e.Data.Event.Message = &kid, message
		e.Data.Rules = []event.Rule{{ID: "r", Title: title, Severity: 4}}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		line := string(as(t, format.CEF, b))
		if strings.ContainsAny(line, "\r\n") {
			t.Fatalf("two lines: %q", line)
		}
		header, fields, err := parseCEF(line)
		if err != nil {
			t.Fatal(err)
		}
		same := func(what, got, want string) {
			if want = strings.Trim(want, " "); got != want && len([]rune(want)) <= 512 {
				t.Fatalf("%s: wrote %q, read %q in %q", what, want, got, line)
			}
		}
		same("kid", fields["cs1"], kid)
		same("message", fields["msg"], message)
		if header[5] != title {
			t.Fatalf("title: wrote %q, read %q", title, header[5])
		}
		if fields["act"] != "key.added" || fields["cs3"] != "corp-idp" || fields["cs2"] != *e.Data.Key.Thumbprint {
			t.Fatalf("forged: %v", fields)
		}
	})
}
