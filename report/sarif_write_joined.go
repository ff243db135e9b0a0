package report

import (
	"context"
	"crypto/sha256"
	"slices"
	"strconv"

	"github.com/waybill-dev/waybill/report/internal/rawjson"
)

// joinHeaders writes the header of a run that comes from several runs.
func (o *sarifWriter) joinHeaders(ctx context.Context, r *runOut) {
	for _, run := range r.runs {
		r.from[run] = &rewriter{run: run, joined: true, norm: newNormalizer(run.doc.opts), lists: map[string][]int32{}, bases: map[string]string{}, limits: r.head.limits}
	}
	o.joinTools(r)
	o.joinArtifacts(ctx, r)
	o.joinBases(r)
	var bags [][]byte
	done := map[string]bool{"artifacts": true, "originalUriBaseIds": true}
	lists := []string{"invocations", "logicalLocations", "threadFlowLocations", "graphs", "addresses", "webRequests", "webResponses"}
	for _, name := range lists {
		done[name] = true
		o.numberList(r, name)
	}
	for _, name := range []string{"taxonomies", "translations", "policies", "versionControlProvenance", "runAggregates", "redactionTokens"} {
		done[name] = true
		o.uniqueList(r, name)
	}
	// Lists are written after all of them are numbered, since they refer to each other.
	for _, name := range lists {
		o.writeList(ctx, r, name)
	}
	for _, run := range r.runs {
		for _, m := range run.members {
			switch {
			case r.onlyOld(run, m.name):
			case m.name == "properties":
				bags = o.bags(run, m, bags)
			case m.name == "automationDetails" && !done[m.name]:
				done[m.name] = true
				o.details(r.head, run, m)
			case !done[m.name]:
				done[m.name] = true
				o.member(run.doc, m)
			}
		}
	}
	if !done["automationDetails"] {
		o.bytes(appendDetails(nil, r.head.Category, nil))
	}
	seen := StatusCompleted
	if slices.ContainsFunc(r.head.sarif, func(run *sarifRun) bool { return run.seen == StatusFailed }) {
		seen = StatusFailed
	}
	o.bytes(appendRunProperties(nil, r.head, bags, seen))
}

// onlyOld says that a member of a run describes that run itself, and that the run is an old one: how it went
// must not be taken for how this one went.
func (r *runOut) onlyOld(run *sarifRun, name string) bool {
	switch name {
	case "properties", "invocations", "versionControlProvenance", "runAggregates", "automationDetails", "baselineGuid", "conversion":
		return slices.Contains(r.head.old, run) && len(r.head.sarif) > 0
	}
	return false
}

// joinTools writes one driver with the rules of all, and the extensions of all.
func (o *sarifWriter) joinTools(r *runOut) {
	var extensions []byte
	extensionAt := map[[32]byte]int32{}
	var rules, notifications, driver []byte
	firstRule, firstNote, firstMember := true, true, true
	notes := int32(0)
	members := map[string]bool{"rules": true, "notifications": true}
	for _, run := range r.runs {
		w := r.from[run]
		if run.tool.name == "" {
			continue
		}
		v, err := run.doc.raw(run.tool)
		if err != nil {
			o.err = err
			return
		}
		d := rawjson.Member(v, "driver")
		for name, value := range rawjson.Members(d) {
			switch n := string(name); {
			case n == "rules":
				for e := range rawjson.Elements(value) {
					id := rawjson.Text(rawjson.Member(e, "id"))
					if r.head.rules != nil && !r.head.rules[id] {
						w.lists["rules"] = append(w.lists["rules"], -1)
						continue
					}
					at, ok := r.ruleAt[id]
					if !ok {
						at = len(r.ruleAt)
						r.ruleAt[id] = at
						if !firstRule {
							rules = append(rules, ',')
						}
						firstRule = false
						rules = w.rule(rules, e)
					}
					w.lists["rules"] = append(w.lists["rules"], int32(at))
				}
			case n == "notifications":
				for e := range rawjson.Elements(value) {
					if !firstNote {
						notifications = append(notifications, ',')
					}
					firstNote = false
					notifications = appendValue(notifications, e)
					w.lists["notifications"] = append(w.lists["notifications"], notes)
					notes++
				}
			case !members[n]:
				members[n] = true
				driver = appendName(driver, name, &firstMember)
				driver = appendValue(driver, value)
			}
		}
		for e := range rawjson.Elements(rawjson.Member(v, "extensions")) {
			text := appendValue(nil, e)
			sum := sha256.Sum256(text)
			at, ok := extensionAt[sum]
			if !ok {
				at = int32(len(extensionAt))
				extensionAt[sum] = at
				if at > 0 {
					extensions = append(extensions, ',')
				}
				extensions = append(extensions, text...)
			}
			w.lists["extensions"] = append(w.lists["extensions"], at)
		}
	}
	for i := range r.head.Rules {
		rules = r.appendRule(rules, &r.head.Rules[i], &firstRule)
	}
	if firstMember {
		driver = append(driver, `"name":"unknown"`...)
	}
	o.raw(`"tool":{"driver":{`)
	o.bytes(driver)
	o.raw(`,"rules":[`)
	o.bytes(rules)
	o.raw("]")
	if notes > 0 {
		o.raw(`,"notifications":[`)
		o.bytes(notifications)
		o.raw("]")
	}
	o.raw("}")
	if len(extensionAt) > 0 {
		o.raw(`,"extensions":[`)
		o.bytes(extensions)
		o.raw("]")
	}
	o.raw("}")
}

// joinArtifacts writes each artifact once, by its location.
func (o *sarifWriter) joinArtifacts(ctx context.Context, r *runOut) {
	at := map[string]int32{}
	fresh := map[*sarifRun][]bool{}
	for _, run := range r.runs {
		w := r.from[run]
		for _, a := range run.artifacts {
			i, ok := at[a]
			if !ok || a == "\x00" {
				i = int32(len(at))
				at[a] = i
				if a == "\x00" { // without a location: never the same as another
					at[a+strconv.Itoa(len(at))] = i
				}
			}
			w.lists["artifacts"] = append(w.lists["artifacts"], i)
			fresh[run] = append(fresh[run], !ok || a == "\x00")
		}
	}
	if len(at) == 0 {
		return
	}
	o.raw(`,"artifacts":[`)
	first := true
	for _, run := range r.runs {
		for _, m := range run.members {
			if m.name == "artifacts" && m.list {
				o.elements(ctx, r.from[run], m, &first, func(i int, _ []byte) bool { return i < len(fresh[run]) && fresh[run][i] })
				break
			}
		}
	}
	o.raw("]")
}

// joinBases writes the base URIs of all; one that means different things gets another name in later runs.
func (o *sarifWriter) joinBases(r *runOut) {
	have := map[string]baseURI{}
	first := true
	for _, run := range r.runs {
		w := r.from[run]
		renamed := map[string]string{}
		for _, id := range run.sortedBases() {
			if was, ok := have[id]; ok && was != run.bases[id] {
				for n := 2; ; n++ {
					name := id + "-" + strconv.Itoa(n)
					if was, ok := have[name]; !ok || was == run.bases[id] {
						renamed[id] = name
						break
					}
				}
			}
		}
		w.bases = renamed
		for _, m := range run.members {
			if m.name != "originalUriBaseIds" {
				continue
			}
			v, err := run.doc.raw(m)
			if err != nil {
				o.err = err
				return
			}
			for name, value := range rawjson.Members(v) {
				id := rawjson.Name(name)
				as := id
				if renamed[id] != "" {
					as = renamed[id]
				}
				if _, ok := have[as]; ok {
					continue
				}
				have[as] = run.bases[id]
				if first {
					o.raw(`,"originalUriBaseIds":{`)
				} else {
					o.raw(",")
				}
				first = false
				b := append(rawjson.AppendString(nil, as), ':')
				keep := *w
				keep.norm = nil // a base is where it is
				o.bytes(keep.object(b, value, sarifTypes()["artifactLocation"]))
			}
			break
		}
	}
	if !first {
		o.raw("}")
	}
}

// numberList gives the elements of a list new numbers, one run after the other.
func (o *sarifWriter) numberList(r *runOut, name string) {
	next := int32(0)
	for _, run := range r.runs {
		w := r.from[run]
		for range run.lengths[name] {
			if r.onlyOld(run, name) {
				w.lists[name] = append(w.lists[name], -1) // "none", in SARIF
				continue
			}
			w.lists[name] = append(w.lists[name], next)
			next++
		}
	}
}

func (o *sarifWriter) writeList(ctx context.Context, r *runOut, name string) {
	opened, first := false, true
	for _, run := range r.runs {
		for _, m := range run.members {
			if m.name == name && m.list && run.lengths[name] > 0 && !r.onlyOld(run, name) {
				if !opened {
					o.raw(`,"` + name + `":[`)
					opened = true
				}
				o.elements(ctx, r.from[run], m, &first, nil)
				break
			}
		}
	}
	if opened {
		o.raw("]")
	}
}

// uniqueList writes each different element of a list once.
func (o *sarifWriter) uniqueList(r *runOut, name string) {
	at := map[[32]byte]int32{}
	first := true
	for _, run := range r.runs {
		w := r.from[run]
		for _, m := range run.members {
			if m.name != name || r.onlyOld(run, name) {
				continue
			}
			v, err := run.doc.raw(m)
			if err != nil {
				o.err = err
				return
			}
			for e := range rawjson.Elements(v) {
				text := appendValue(nil, e)
				sum := sha256.Sum256(text)
				i, ok := at[sum]
				if !ok {
					i = int32(len(at))
					at[sum] = i
					if first {
						o.raw(`,"` + name + `":[`)
					} else {
						o.raw(",")
					}
					first = false
					o.bytes(text)
				}
				w.lists[name] = append(w.lists[name], i)
			}
			break
		}
	}
	if !first {
		o.raw("]")
	}
}
