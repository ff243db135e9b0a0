package gitleaks

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"

	"github.com/waybill-dev/waybill/scan/command"
)

const (
	configName     = ".gitleaks.toml"
	maxConfigBytes = 10 << 20
	maxExtends     = 16
)

// rules is a configuration ready to search with.
type rules struct {
	config config.Config
}

// source is a configuration before it is compiled: its text, and the path messages name it by.
type configText struct {
	path, text string
}

var builtinConfig = configText{path: "the built-in rules", text: config.DefaultConfig}

// loadRules finds the configuration that applies to a target: that of the options, the target's own, or the
// built-in one. own is the path of the file it came from, relative to root, "" when it is not below it.
func (s *Scanner) loadRules(root string) (r *rules, own string, err error) {
	switch {
	case s.o.Config != "":
		r, err = s.compile(configText{path: "Options.Config", text: s.o.Config}, root)
		return r, "", err
	case s.o.ConfigFile != "":
		text, err := readConfig(s.o.ConfigFile)
		if err != nil {
			return nil, "", err
		}
		r, err = s.compile(text, root)
		return r, below(root, s.o.ConfigFile), err
	case root == "" || s.o.IgnoreTargetOptions:
		r, err = s.builtin()
		return r, "", err
	}
	text, err := readConfig(filepath.Join(root, configName))
	if errors.Is(err, fs.ErrNotExist) {
		r, err = s.builtin()
		return r, configName, err
	}
	if err != nil {
		return nil, "", err
	}
	r, err = s.compile(text, root)
	return r, configName, err
}

func readConfig(path string) (configText, error) {
	text, err := command.ReadFile(path, maxConfigBytes)
	return configText{path: path, text: string(text)}, err
}

// compile reads a configuration and those it extends, merges them, and compiles the rules.
//
// The engine can do all this itself, but counts the configurations that extend another in a variable of the
// process and stops extending at the third, without a word and without the rules; and it reads them through
// the process's one viper. So the merge is ours, on the configurations as read, by the engine's own rules.
func (s *Scanner) compile(text configText, root string) (*rules, error) {
	merged, err := load(text, root, nil)
	if err != nil {
		return nil, err
	}
	merged.Extend = config.Extend{}
	if err := checkPatterns(merged); err != nil {
		return nil, fmt.Errorf("%s: %w", text.path, err)
	}
	cfg, err := merged.Translate()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text.path, err)
	}
	for id, r := range cfg.Rules {
		// The engine appends to Tags while it searches, from many goroutines: without spare room it copies.
		r.Tags = slices.Clip(r.Tags)
		cfg.Rules[id] = r
	}
	if len(s.o.Rules) > 0 {
		if cfg.Rules, err = only(cfg.Rules, s.o.Rules); err != nil {
			return nil, fmt.Errorf("%s: %w", text.path, err)
		}
	}
	if len(cfg.Rules) == 0 {
		return nil, fmt.Errorf("%s: no rules (extend the built-in ones with [extend] useDefault = true)", text.path)
	}
	return &rules{config: cfg}, nil
}

func only(all map[string]config.Rule, ids []string) (map[string]config.Rule, error) {
	kept := map[string]config.Rule{}
	var errs []error
	for _, id := range ids {
		r, ok := all[id]
		if !ok {
			errs = append(errs, fmt.Errorf("there is no rule %q", id))
		}
		kept[id] = r
	}
	return kept, errors.Join(errs...)
}

// load reads a configuration and merges it over those it extends. chain holds the paths that led here.
func load(text configText, root string, chain []string) (*config.ViperConfig, error) {
	if slices.Contains(chain, text.path) {
		return nil, fmt.Errorf("%s extends itself (%s)", text.path, strings.Join(append(chain, text.path), " extends "))
	}
	if len(chain) == maxExtends {
		return nil, fmt.Errorf("more than %d configurations extend one another", maxExtends)
	}
	v := viper.New()
	v.SetConfigType("toml")
	if err := v.ReadConfig(strings.NewReader(text.text)); err != nil {
		return nil, fmt.Errorf("%s: %w", text.path, err)
	}
	var top config.ViperConfig
	if err := v.Unmarshal(&top); err != nil {
		return nil, fmt.Errorf("%s: %w", text.path, err)
	}
	if err := modernise(&top); err != nil {
		return nil, fmt.Errorf("%s: %w", text.path, err)
	}

	var next configText
	switch e := top.Extend; {
	case e.UseDefault && e.Path != "":
		return nil, fmt.Errorf("%s: [extend] has both useDefault and path", text.path)
	case e.URL != "":
		return nil, fmt.Errorf("%s: [extend] url is not something gitleaks does", text.path)
	case e.UseDefault:
		next = builtinConfig
	case e.Path != "":
		path := e.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		var err error
		if next, err = readConfig(path); err != nil {
			return nil, fmt.Errorf("%s: [extend]: %w", text.path, err)
		}
	default:
		return &top, nil
	}
	base, err := load(next, root, append(chain, text.path))
	if err != nil {
		return nil, err
	}
	extend(&top, base)
	return &top, nil
}

// modernise turns the older [allowlist] tables into [[allowlists]]. Both at once is an error, as in the
// engine.
func modernise(c *config.ViperConfig) error {
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.AllowList == nil {
			continue
		}
		if len(r.Allowlists) > 0 {
			return fmt.Errorf("%s: [rules.allowlist] cannot be used alongside [[rules.allowlists]]", r.ID)
		}
		r.Allowlists, r.AllowList = append(r.Allowlists, r.AllowList), nil
	}
	if c.AllowList != nil { //nolint:staticcheck // deprecated, and in many files
		if len(c.Allowlists) > 0 {
			return errors.New("[allowlist] cannot be used alongside [[allowlists]]")
		}
		c.Allowlists, c.AllowList = append(c.Allowlists, c.AllowList), nil //nolint:staticcheck // see above
	}
	return nil
}

// extend merges base into top: rules top does not have are added unless it disables them; of the others
// top's values win and lists are joined. Allow lists of base that aim at single rules count for base's
// rules only where top has them too, in the engine: it drops them, and so does this.
func extend(top, base *config.ViperConfig) {
	at := map[string]int{}
	for i, r := range top.Rules {
		at[r.ID] = i
	}
	for _, b := range base.Rules {
		if slices.Contains(top.Extend.DisabledRules, b.ID) {
			continue
		}
		i, ok := at[b.ID]
		if !ok {
			top.Rules = append(top.Rules, b)
			continue
		}
		t := top.Rules[i]
		b.Description = cmp.Or(t.Description, b.Description)
		b.Entropy = cmp.Or(t.Entropy, b.Entropy)
		b.SecretGroup = cmp.Or(t.SecretGroup, b.SecretGroup)
		b.Regex = cmp.Or(t.Regex, b.Regex)
		b.Path = cmp.Or(t.Path, b.Path)
		b.Tags = slices.Concat(b.Tags, t.Tags)
		b.Keywords = slices.Concat(b.Keywords, t.Keywords)
		b.Allowlists = slices.Concat(b.Allowlists, t.Allowlists)
		top.Rules[i] = b
	}
	for _, a := range base.Allowlists {
		if len(a.TargetRules) == 0 {
			top.Allowlists = append(top.Allowlists, a)
		}
	}
}

// checkPatterns compiles every regular expression once: the engine panics on one that does not compile.
func checkPatterns(c *config.ViperConfig) error {
	var errs []error
	check := func(where, pattern string) {
		if _, err := regexp.Compile(pattern); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
		}
	}
	for _, r := range c.Rules {
		check("rule "+r.ID+": regex", r.Regex)
		check("rule "+r.ID+": path", r.Path)
		for _, a := range r.Allowlists {
			for _, p := range slices.Concat(a.Regexes, a.Paths) {
				check("rule "+r.ID+": allow list", p)
			}
		}
	}
	for _, a := range c.Allowlists {
		for _, p := range slices.Concat(a.Regexes, a.Paths) {
			check("allow list", p)
		}
	}
	return errors.Join(errs...)
}

// below returns path relative to root with forward slashes, or "" when it is not below it.
func below(root, path string) string {
	if root == "" {
		return ""
	}
	absRoot, err1 := filepath.Abs(root)
	absPath, err2 := filepath.Abs(path)
	if err1 != nil || err2 != nil {
		return ""
	}
	rel, err := filepath.Rel(absRoot, absPath)
	if err != nil || !filepath.IsLocal(rel) {
		return ""
	}
	return filepath.ToSlash(rel)
}
