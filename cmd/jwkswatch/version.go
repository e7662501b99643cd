package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version and how it was built",
		Example: "  jwkswatch version -o json",
		Args:    cobra.NoArgs,
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		v := version()
		if *output == "json" {
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{
				"version": v, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH,
			}))
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "jwkswatch %s (%s, %s/%s)\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return failed(err)
	}
	return cmd
}

// version is that of the module, as the toolchain recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "0.1.0-dev"
	}
	return info.Main.Version
}
