package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
)

// defaultConfig is where the daemon looks when nobody says otherwise.
const defaultConfig = "/etc/jwkswatch/jwkswatch.yaml"

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Check the configuration",
		Example: "  jwkswatch config check /etc/jwkswatch/jwkswatch.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return errors.Join(cmd.Help(), &ended{code: exitUsage}) },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "Print every error of a configuration file at once, with position and cure",
		Long: `Print every error of a configuration file at once, with position and cure.
Nothing is started and no network is used.

Exits 78 when the configuration is bad, 4 when the file cannot be read.`,
		Example: "  jwkswatch config check /etc/jwkswatch/jwkswatch.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := loadConfig(args[0], cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %d endpoints, %d sinks, digest %s\n",
				args[0], len(c.Endpoints), len(c.Sinks), digest(c.Digest))
			return failed(err)
		},
	})
	return cmd
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
	if err != nil {
		return nil, &ended{exitBlind, err}
	}
	return c, nil
}
