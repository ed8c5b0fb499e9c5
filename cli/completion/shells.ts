/** What each shell is told: to ask `weft completion words` for what may come next. */

/** The words as typed, behind `--`; the answer is a line each: the word, a tab, what it is. */
const ASK = "completion words --";

export const SHELLS = {
  bash: {
    install: "weft completion bash > /etc/bash_completion.d/weft",
    script: `# weft, completion for bash
_weft() {
  local line words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <("\${COMP_WORDS[0]}" ${ASK} "\${words[@]}" 2> /dev/null)
}
complete -o default -F _weft weft`,
  },
  zsh: {
    install: "weft completion zsh > /usr/local/share/zsh/site-functions/_weft",
    script: `#compdef weft
# weft, completion for zsh
_weft() {
  local line word
  local -a found
  while IFS= read -r line; do
    word="\${line%%$'\\t'*}"
    found+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
  done < <("\${words[1]}" ${ASK} "\${(@)words[2,CURRENT]}" 2> /dev/null)
  if (( \${#found} )); then _describe weft found; else _files; fi
}
# The file itself is the function when the shell loads it by its name.
if [[ $funcstack[1] == _weft ]]; then _weft "$@"; else compdef _weft weft; fi`,
  },
  fish: {
    install: "weft completion fish > ~/.config/fish/completions/weft.fish",
    script: `# weft, completion for fish
function __weft_words
  set -l words (commandline -opc)[2..-1] (commandline -ct)
  set -l found (weft ${ASK} $words 2> /dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c weft -f -a "(__weft_words)"`,
  },
} as const;
