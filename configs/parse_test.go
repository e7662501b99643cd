package configs

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// canary stands for every secret of the tests. No message may hold it.
const canary = "c4n4ry-s3cr3t"

var update = flag.Bool("update", false, "write the golden files, the schema and the table of README.md anew")

const webToken = canary + "-0123456789"

// world is an outside with known variables and files.
func world() Options { return worldOf(nil) }

// worldOf is world with more files, whose names are relative to its directory.
func worldOf(more map[string]string) Options {
	env := map[string]string{"CANARY": canary, "OWNER": "iam@corp.example", "EMPTY": "", "INTERVAL": "5m", "TRUE": "true", "YAML": "x, tier: low", "NESTED": "${env:CANARY}", "PIN": "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
	files := map[string]string{
		"conf/secret": canary + "\r\n", "conf/large": strings.Repeat("x", MaxExpansion+1), "conf/full": strings.Repeat("y", MaxExpansion),
		"conf/multiline": canary + "-and-more\nline", "/run/secrets/token": canary + "\n", "conf/empty": "\n",
		"conf/rules.d/corp.yaml": "version: 1\nrules: []\n", "conf/approvals.d/x.yaml": "version: 1\napprovals: []\n", "conf/spaced": canary + " 0123456789", "conf/token": webToken + "\n", "conf/webtoken": webToken,
		"conf/blocklist.dat": strings.Repeat("\x01", 16), "/var/lib/badkeys/blocklist.dat": strings.Repeat("\x01", 16),
		"conf/12": webToken, // a plain scalar that is a file name too
	}
	for name, text := range pems() {
		files["conf/"+name] = text
	}
	for name, text := range more {
		if original, ok := strings.CutPrefix(strings.TrimSpace(text), "@"); ok {
			text = pems()[original]
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join("conf", name)
		}
		files[name] = text
	}
	return Options{
		Dir:       "conf",
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
		Glob: func(pattern string) (found []string, err error) {
			if _, err := filepath.Match(pattern, ""); err != nil {
				return nil, err
			}
			for name := range files {
				if ok, _ := filepath.Match(pattern, name); ok {
					found = append(found, name)
				}
			}
			return found, nil
		},
	}
}

// corpus reads a file of the corpus: main.yaml, and with .txtar others.
func corpus(t testing.TB, file string) map[string]string {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) != ".txtar" {
		return map[string]string{"main.yaml": string(src)}
	}
	files := map[string]string{}
	for _, f := range txtar.Parse(src).Files {
		files[f.Name] = string(f.Data)
	}
	return files
}

// corpora lists the files of a corpus, and where the golden one stands.
func corpora(t testing.TB, dir string, least int) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, ext := range []string{".yaml", ".txtar"} {
		files, err := filepath.Glob("testdata/" + dir + "/*" + ext)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			out[f] = strings.TrimSuffix(f, ext) + ".golden"
		}
	}
	if len(out) < least {
		t.Fatalf("the corpus %s has %d files, want %d", dir, len(out), least)
	}
	return out
}

// mainName is how the main file of the corpus is called in problems.
func mainName(file string) string {
	if filepath.Ext(file) == ".txtar" {
		return "main.yaml"
	}
	return filepath.Base(file)
}

func TestBadFilesAreRefusedWithPlaceAndCure(t *testing.T) {
	t.Parallel()
	for file, golden := range corpora(t, "bad", 200) {
		t.Run(strings.TrimSuffix(filepath.Base(golden), ".golden"), func(t *testing.T) {
			t.Parallel()
			files := corpus(t, file)
			c, err := Parse(mainName(file), []byte(files["main.yaml"]), worldOf(files))
			problems, ok := errors.AsType[Errors](err)
			if !ok || c != nil {
				t.Fatalf("Parse = %v, %v; want Errors and no Config", c, err)
			}
			var got bytes.Buffer
			if err := problems.Print(&got); err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Col < 1 || p.Message == "" || p.Hint == "" || p.File == "" {
					t.Errorf("a problem without place or cure: %+v", p)
				}
			}
			for _, secret := range []string{canary, "hunter2"} {
				if strings.Contains(got.String()+err.Error(), secret) {
					t.Errorf("the errors hold a secret:\n%s", &got)
				}
			}
			compare(t, golden, got.Bytes())
		})
	}
}

func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (write it with -update, and read it)\n--- got\n%s--- want\n%s", file, got, want)
	}
}
