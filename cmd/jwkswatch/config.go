package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
)

// defaultConfig is where the daemon looks when nobody says otherwise.
const defaultConfig = "/etc/jwkswatch/jwkswatch.yaml"

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check, explain and begin the configuration",
		Example: "  jwkswatch config init > jwkswatch.yaml\n  jwkswatch config check jwkswatch.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return errors.Join(cmd.Help(), &ended{code: exitUsage}) },
	}
	cmd.AddCommand(newConfigCheck(), newConfigShow(), newConfigSchema(), newConfigInit())
	return cmd
}

func newConfigCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Print every error of a configuration at once, with position and cure",
		Long: `Print every error of a configuration and of the files it includes at once, with
position and cure. Nothing is started and no network is used.

Exits 78 when the configuration is bad, 4 when the file cannot be read.`,
		Example: "  jwkswatch config check /etc/jwkswatch/jwkswatch.yaml",
		Args:    cobra.ExactArgs(1),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if *output == "json" {
			return checkJSON(cmd.OutOrStdout(), args[0])
		}
		c, err := loadConfig(args[0], cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		for _, p := range c.Warnings {
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s:%d:%d: warning: %s\n    hint: %s\n", p.File, p.Line, p.Col, p.Message, p.Hint); err != nil {
				return failed(err)
			}
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %d endpoints, %d sinks, digest %s\n",
			args[0], len(c.Endpoints), len(c.Sinks), digest(c.Digest))
		return failed(err)
	}
	return cmd
}

// checked is the JSON of config check.
type checked struct {
	File      string           `json:"file"`
	Good      bool             `json:"good"`
	Endpoints int              `json:"endpoints"`
	Sinks     int              `json:"sinks"`
	Digest    *string          `json:"digest"` // null when it is not good
	Errors    []checkedProblem `json:"errors"`
	Warnings  []checkedProblem `json:"warnings"`
}

type checkedProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

func problems(list []configs.Problem) []checkedProblem {
	out := []checkedProblem{}
	for _, p := range list {
		out = append(out, checkedProblem{p.File, p.Line, p.Col, p.Message, p.Hint})
	}
	return out
}

func checkJSON(w io.Writer, path string) error {
	r := checked{File: path, Errors: []checkedProblem{}, Warnings: []checkedProblem{}}
	c, err := configs.Load(path)
	bad, wrong := errors.AsType[configs.Errors](err)
	switch {
	case wrong:
		r.Errors = problems(bad)
	case err != nil:
		return &ended{exitBlind, err}
	default:
		r.Good, r.Endpoints, r.Sinks, r.Digest, r.Warnings = true, len(c.Endpoints), len(c.Sinks), new(digest(c.Digest)), problems(c.Warnings)
	}
	if err := json.NewEncoder(w).Encode(r); err != nil {
		return failed(err)
	}
	if wrong {
		return &ended{code: exitConfig}
	}
	return nil
}

func newConfigShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Print every effective value with its origin",
		Long: `Print every effective value with its origin: the file and line that sets it, the
variable that it comes from, or that it is the default. Secrets are masked.

Exits 78 when the configuration is bad, 4 when the file cannot be read.`,
		Example: "  jwkswatch config show /etc/jwkswatch/jwkswatch.yaml",
		Args:    cobra.ExactArgs(1),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		c, err := loadConfig(args[0], cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		if *output == "json" {
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(c.Explain()))
		}
		return failed(c.Explain().Print(cmd.OutOrStdout()))
	}
	return cmd
}

func newConfigSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [rules]",
		Short: "Print the JSON Schema of the configuration, or of rules, for editors",
		Long: `Print the JSON Schema of the configuration, or with rules that of a file of rules.
An editor that knows it completes and checks while one writes; config check is the
last word: it also sees what lies between values and in files.`,
		Example:   "  jwkswatch config schema > jwkswatch.schema.json\n  jwkswatch config schema rules > rules.schema.json",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"rules"},
		RunE: func(cmd *cobra.Command, args []string) error {
			schema := configs.Schema()
			if len(args) > 0 {
				schema = configs.RulesSchema()
			}
			_, err := cmd.OutOrStdout().Write(schema)
			return failed(err)
		},
	}
}

func newConfigInit() *cobra.Command {
	return &cobra.Command{
		Use:     "init",
		Short:   "Print a commented start file",
		Long:    "Print a configuration to begin with: one endpoint, and the other keys with what\nthey do. Of sinks it shows those of type nats; configs/README.md has them all.",
		Example: "  jwkswatch config init > jwkswatch.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(configs.Init())
			return failed(err)
		},
	}
}

// configFlag adds -c and returns where its value will be.
func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", "", "configuration file (default $JWKSWATCH_CONFIG, then "+defaultConfig+")")
}

func configPath(flag string) string {
	if flag != "" {
		return flag
	}
	if env := os.Getenv("JWKSWATCH_CONFIG"); env != "" {
		return env
	}
	return defaultConfig
}

// loadConfig reads a configuration and prints what is wrong with it.
func loadConfig(path string, errs io.Writer) (*configs.Config, error) {
	c, err := configs.Load(path)
	if problems, ok := errors.AsType[configs.Errors](err); ok {
		if err := problems.Print(errs); err != nil {
			return nil, &ended{exitFailed, err}
		}
		return nil, &ended{code: exitConfig}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; jwkswatch config init prints a first one", err)
	}
	if err != nil {
		return nil, &ended{exitBlind, err}
	}
	return c, nil
}
