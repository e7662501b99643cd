package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

func newRulesTest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test FILE...",
		Short: "Run the unit tests of your rules",
		Long: `Runs tests of rules: each gives an event by its fields, two JWKS documents, or polls
in their order, and says what the rules must make of it. Paths are relative to the
file of the test. See docs/rules.md for the format.

Exits 1 if a test fails or too few rules are fired by one, 78 when a file of tests
or of rules is bad, 4 when a file cannot be read.
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
		report := ruleReport{Tests: []ruleResult{}, Unfired: []string{}, Warnings: []checkedProblem{}, rules: map[string]bool{}}
		if err := runRuleFiles(&report, args, pattern, cmd.ErrOrStderr()); err != nil {
			return err
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

	Warnings []checkedProblem `json:"warnings"` // of the rules

	rules map[string]bool // fired
}

type ruleResult struct {
	Name  string `json:"name"`
	Place string `json:"place"` // file:line
	OK    bool   `json:"ok"`
	Want  string `json:"want,omitempty"`
	Got   string `json:"got,omitempty"`
}

// runRuleFiles runs the tests of the files, once all of them could be read: what is
// wrong with any of them is told at once.
func runRuleFiles(report *ruleReport, files []string, only *regexp.Regexp, errs io.Writer) error {
	var all []*configs.RuleTests
	code := 0
	for _, file := range files {
		f, err := configs.LoadRuleTests(configs.Options{}, file)
		problems, bad := errors.AsType[configs.Errors](err)
		switch {
		case bad:
			if err := problems.Print(errs); err != nil {
				return failed(err)
			}
			code = exitConfig
		case err != nil:
			return &ended{exitBlind, err}
		default:
			all = append(all, f)
		}
	}
	if code != 0 {
		return &ended{code: code}
	}
	for _, f := range all {
		report.Warnings = append(report.Warnings, problems(f.Warnings)...)
		if err := configs.PrintWarnings(errs, f.Warnings); err != nil {
			return failed(err)
		}
		report.run(f, only)
	}
	report.count()
	return nil
}

func (r *ruleReport) run(f *configs.RuleTests, only *regexp.Regexp) {
	for _, id := range testable(f.Set) {
		if _, known := r.rules[id]; !known {
			r.rules[id] = false
		}
	}
	for i := range f.Tests {
		t := &f.Tests[i]
		if !only.MatchString(t.Name) {
			continue
		}
		got := playTest(t, f.Set)
		result := ruleResult{Name: t.Name, Place: t.Place}
		result.Want, result.Got = compareTest(t, f.Set, got)
		result.OK = result.Want == "" && result.Got == ""
		if !result.OK {
			r.Failed++
		}
		for _, id := range firedRules(f.Set, got) {
			r.rules[id] = true
		}
		for _, id := range overridden(got) {
			if _, own := r.rules[overrideOf+id]; own {
				r.rules[overrideOf+id] = true
			}
		}
		r.Tests = append(r.Tests, result)
	}
}

// testable are the names of what a test may fire.
func testable(set *custom.Set) []string {
	var out []string
	for _, r := range set.Rules {
		if !r.Off {
			out = append(out, r.ID)
		}
	}
	for _, o := range set.Overrides {
		out = append(out, overrideOf+o.ID)
	}
	return out
}

// overrideOf begins the name of an override in a report; no id of a rule does.
const overrideOf = "override of "

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
		fmt.Fprintf(w, "no test fires %s\n", id)
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
