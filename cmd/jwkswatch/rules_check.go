package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

func newRulesTest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run the unit tests of your rules",
		Long: `Runs tests of rules: each gives an event by its fields, or two JWKS documents, and
says what the rules must make of it. Paths are relative to the file of the test.
See docs/rules.md for the format.

Exits 1 if a test fails or too few rules are fired by one.
`,
		Example: "  jwkswatch rules test rules_test.yaml\n  jwkswatch rules test --run noise --junit report.xml rules_test.yaml",
		Args:    cobra.MinimumNArgs(1),
	}
	run := cmd.Flags().String("run", "", "only tests whose name matches this regular expression")
	junit := cmd.Flags().String("junit", "", "also write a report in the JUnit format to this file")
	least := cmd.Flags().Int("coverage-min", 0, "percent of the rules that a test must fire")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		pattern, err := regexp.Compile(*run)
		if err != nil {
			return fmt.Errorf("--run: %w", err)
		}
		report := ruleReport{Tests: []ruleResult{}, Unfired: []string{}}
		for _, file := range args {
			if err := runRuleFile(&report, file, pattern); err != nil {
				return err
			}
		}
		if *junit != "" {
			if err := writeJUnit(*junit, &report); err != nil {
				return &ended{exitFailed, err}
			}
		}
		if *output == "json" {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
		} else {
			err = printRuleReport(cmd.OutOrStdout(), &report)
		}
		switch {
		case err != nil:
			return failed(err)
		case report.Failed > 0:
			return &ended{exitFailed, fmt.Errorf("%d of %d tests failed", report.Failed, len(report.Tests))}
		case report.Coverage < *least:
			return &ended{exitFailed, fmt.Errorf("tests fire %d %% of the rules, wanted %d %%", report.Coverage, *least)}
		}
		return nil
	}
	return cmd
}

// ruleReport is what became of tests.
type ruleReport struct {
	Tests    []ruleResult `json:"tests"`
	Failed   int          `json:"failed"`
	Coverage int          `json:"coverage"` // percent of the rules that a test fired
	Unfired  []string     `json:"unfired"`  // rules that none did

	rules map[string]bool // fired
}

type ruleResult struct {
	Name  string `json:"name"`
	Place string `json:"place"` // file:line
	OK    bool   `json:"ok"`
	Want  string `json:"want,omitempty"`
	Got   string `json:"got,omitempty"`
}

// runRuleFile runs the tests of one file.
func runRuleFile(report *ruleReport, file string, only *regexp.Regexp) error {
	f, err := readRuleTests(file)
	if err != nil {
		return err
	}
	if report.rules == nil {
		report.rules = map[string]bool{}
	}
	for _, r := range f.set.Rules {
		if _, known := report.rules[r.ID]; !known {
			report.rules[r.ID] = false
		}
	}
	for i := range f.tests {
		t := &f.tests[i]
		if !only.MatchString(t.Name) {
			continue
		}
		got, err := t.play(f)
		if err != nil {
			return &ended{exitConfig, fmt.Errorf("%s: %w", t.place, err)}
		}
		result := ruleResult{Name: t.Name, Place: t.place}
		result.Want, result.Got = t.compare(got)
		result.OK = result.Want == result.Got
		if result.OK {
			result.Want, result.Got = "", ""
		} else {
			report.Failed++
		}
		for _, e := range got {
			for _, r := range e.Data.Rules {
				if _, own := report.rules[r.ID]; own {
					report.rules[r.ID] = true
				}
			}
		}
		report.Tests = append(report.Tests, result)
	}
	report.count()
	return nil
}

func (r *ruleReport) count() {
	fired := 0
	r.Unfired = []string{}
	for id, did := range r.rules {
		if did {
			fired++
		} else {
			r.Unfired = append(r.Unfired, id)
		}
	}
	slices.Sort(r.Unfired)
	r.Coverage = 100
	if len(r.rules) > 0 {
		r.Coverage = 100 * fired / len(r.rules)
	}
}

func printRuleReport(w io.Writer, r *ruleReport) error {
	for _, t := range r.Tests {
		if t.OK {
			fmt.Fprintf(w, "PASS  %s\n", event.Text(t.Name))
			continue
		}
		fmt.Fprintf(w, "FAIL  %s (%s)\n      want %s\n      got  %s\n", event.Text(t.Name), t.Place, event.Text(t.Want), event.Text(t.Got))
	}
	for _, id := range r.Unfired {
		fmt.Fprintf(w, "no test fires the rule %s\n", id)
	}
	_, err := fmt.Fprintf(w, "%d tests, %d failed; %d %% of the rules are fired\n", len(r.Tests), r.Failed, r.Coverage)
	return err
}

// writeJUnit writes the report as most CI servers read it.
func writeJUnit(path string, r *ruleReport) error {
	type failure struct {
		Message string `xml:"message,attr"`
	}
	type testcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Failure *failure `xml:"failure,omitempty"`
	}
	suite := struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testcase `xml:"testcase"`
	}{Name: "jwkswatch rules", Tests: len(r.Tests), Failures: r.Failed}
	for _, t := range r.Tests {
		c := testcase{Name: t.Name, Class: filepath.Base(t.Place)}
		if !t.OK {
			c.Failure = &failure{"want " + t.Want + ", got " + t.Got}
		}
		suite.Cases = append(suite.Cases, c)
	}
	b, err := xml.MarshalIndent(suite, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.WriteFile(path, append([]byte(xml.Header), append(b, '\n')...), 0o644)
}

// applied lets the rules judge an event.
func applied(set *custom.Set, e event.Event) event.Event {
	set.Apply(&e)
	return e
}
