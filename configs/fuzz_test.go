package configs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse holds, for any octets: no panic; an error is an Errors in which
// each problem has a place and a cure; what came from outside is in no message;
// and what is accepted is accepted again in its effective form, with the same
// digest.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml", "examples/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	outside := Options{
		Dir:       "/conf",
		LookupEnv: func(string) (string, bool) { return canary, true },
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := pems()[filepath.Base(path)]; ok && len(text) < MaxPEM {
				return []byte(text), nil
			}
			return []byte(canary + "-and-more\n"), nil
		},
		Glob: func(string) ([]string, error) { return []string{"/conf/a", "/conf/b"}, nil },
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Parse("fuzz.yaml", src, outside)
		var told bytes.Buffer
		if err != nil {
			problems, ok := errors.AsType[Errors](err)
			if !ok || len(problems) == 0 || c != nil {
				t.Fatalf("Parse = %v, %v", c, err)
			}
			for i, p := range problems {
				if p.Line < 1 || p.Col < 1 || p.Message == "" || p.Hint == "" {
					t.Errorf("a problem without place or cure: %+v", p)
				}
				if i > 0 && p.File == problems[i-1].File && (p.Line < problems[i-1].Line || p.Line == problems[i-1].Line && p.Col < problems[i-1].Col) {
					t.Errorf("problems out of order: %v", problems)
				}
			}
			told.WriteString(err.Error())
			if err := problems.Print(&told); err != nil {
				t.Fatal(err)
			}
		} else if err := c.PrintWarnings(&told); err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(src, []byte(canary)) && strings.Contains(told.String(), canary) {
			t.Errorf("what came from outside is told:\n%s", &told)
		}
		if strings.ContainsFunc(told.String(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
			t.Errorf("a control character is told: %q", told.String())
		}
		if c == nil {
			return
		}
		effective := c.Effective()
		var explained bytes.Buffer
		if err := c.Explain().Print(&explained); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(explained.String(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
			t.Errorf("a control character is explained: %q", explained.String())
		}
		if bytes.Contains(effective, []byte("${")) {
			return
		}
		again, err := Parse("again.yaml", effective, outside)
		if err != nil {
			t.Fatalf("the effective configuration is refused: %v\n%s", err, effective)
		}
		if again.Digest != c.Digest {
			t.Errorf("the effective configuration has another digest:\n%s\nand\n%s", effective, again.Effective())
		}
	})
}
