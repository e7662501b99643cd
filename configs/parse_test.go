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
)

// canary stands for every secret of the tests. No message may hold it.
const canary = "c4n4ry-s3cr3t"

var update = flag.Bool("update", false, "write the golden files and the table of README.md anew")

// world is an outside with known variables and files.
func world() Options {
	env := map[string]string{"CANARY": canary, "OWNER": "iam@corp.example", "EMPTY": "", "INTERVAL": "5m", "TRUE": "true", "YAML": "x, tier: low", "NESTED": "${env:CANARY}"}
	files := map[string]string{
		"conf/secret": canary + "\r\n", "conf/large": strings.Repeat("x", MaxExpansion+1), "conf/full": strings.Repeat("y", MaxExpansion),
		"conf/multiline": canary + "\nline", "/run/secrets/token": canary + "\n", "conf/empty": "\n",
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
	}
}

func TestBadFilesAreRefusedWithPlaceAndCure(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("the corpus has %d files: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse(filepath.Base(file), src, world())
			problems, ok := errors.AsType[Errors](err)
			if !ok || c != nil {
				t.Fatalf("Parse = %v, %v; want Errors and no Config", c, err)
			}
			var got bytes.Buffer
			if err := problems.Print(&got); err != nil {
				t.Fatal(err)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Col < 1 || p.Message == "" || p.Hint == "" || p.File != filepath.Base(file) {
					t.Errorf("a problem without place or cure: %+v", p)
				}
			}
			for _, secret := range []string{canary, "hunter2"} {
				if strings.Contains(got.String()+err.Error(), secret) {
					t.Errorf("the errors hold a secret:\n%s", &got)
				}
			}
			compare(t, strings.TrimSuffix(file, ".yaml")+".golden", got.Bytes())
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
