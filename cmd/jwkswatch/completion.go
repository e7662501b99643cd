package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that completes commands and flags in a shell",
		Long: `Print a script that completes commands and flags in bash, zsh, fish or
powershell. The script asks jwkswatch itself, so it stays right after an upgrade.`,
		Example: `  source <(jwkswatch completion bash)
  jwkswatch completion bash > /etc/bash_completion.d/jwkswatch
  jwkswatch completion zsh > "${fpath[1]}/_jwkswatch"
  jwkswatch completion fish > ~/.config/fish/completions/jwkswatch.fish
  jwkswatch completion powershell | Out-String | Invoke-Expression`,
		ValidArgs:             []string{"bash", "zsh", "fish", "powershell"},
		Args:                  cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return failed(root.GenBashCompletionV2(out, true))
			case "zsh":
				return failed(root.GenZshCompletion(out))
			case "fish":
				return failed(root.GenFishCompletion(out, true))
			case "powershell":
				return failed(root.GenPowerShellCompletionWithDesc(out))
			}
			return fmt.Errorf("unknown shell %q", args[0])
		},
	}
}
