package sonarqubetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/waybill-dev/waybill/report"
)

// entry is an issue or a hotspot.
type entry struct {
	key, rule, name, kind, severity, path, message string
	line, endLine                                  int
}

// entries turns findings into issues and hotspots: what a tool asks to review is a hotspot.
func entries(r *report.Report) (issues, hotspots []entry, files []string) {
	if r == nil {
		return nil, nil, nil
	}
	seen := map[string]bool{}
	for i, f := range r.Findings {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", i, f.Rule, f.Location.Path))
		e := entry{
			key: hex.EncodeToString(sum[:16]), rule: f.Rule, name: cmp.Or(f.Title, f.Rule), kind: issueType(f), severity: issueSeverity(f),
			path: f.Location.Path, message: f.Message, line: f.Location.StartLine, endLine: max(f.Location.StartLine, f.Location.EndLine),
		}
		if f.Kind == report.KindReview {
			hotspots = append(hotspots, e)
		} else {
			issues = append(issues, e)
		}
		seen[f.Location.Path] = true
	}
	if r.Coverage != nil {
		for _, f := range r.Coverage.Files {
			seen[f.Path] = true
		}
	}
	delete(seen, "")
	return issues, hotspots, slices.Sorted(maps.Keys(seen))
}

func issueType(f report.Finding) string {
	switch {
	case f.Category == report.CategorySecret, f.Category == report.CategoryPackage, len(f.CWE) > 0:
		return "VULNERABILITY"
	case f.Level == report.LevelError:
		return "BUG"
	}
	return "CODE_SMELL"
}

func issueSeverity(f report.Finding) string {
	switch f.Severity {
	case report.SeverityCritical:
		return "BLOCKER"
	case report.SeverityHigh:
		return "CRITICAL"
	case report.SeverityLow:
		return "MINOR"
	case report.SeverityInfo:
		return "INFO"
	}
	return "MAJOR"
}

const maxResults = 10_000

// answer routes a request. Its errors have the form of the real server's.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, authenticated bool) {
	if r.URL.Path == "/api/server/version" {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, s.o.Version)
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		w.Header().Set("Content-Type", "text/html;charset=utf-8")
		fmt.Fprint(w, "<!doctype html><html><title>SonarQube</title></html>")
		return
	}
	if !authenticated {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	switch r.URL.Path {
	case "/api/ce/task":
		s.task(w, q)
	case "/api/qualitygates/project_status":
		s.projectStatus(w, q)
	case "/api/project_branches/list":
		s.listBranches(w, q)
	case "/api/issues/search":
		s.issues(w, q)
	case "/api/hotspots/search":
		s.hotspots(w, q)
	case "/api/components/tree":
		s.tree(w, q)
	case "/api/measures/component":
		s.measures(w, q)
	default:
		fail(w, http.StatusNotFound, "Unknown url : %s", r.URL.Path)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]any{"msg": fmt.Sprintf(format, args...)}}})
}

func (s *Server) task(w http.ResponseWriter, q url.Values) {
	t := s.tasks[q.Get("id")]
	if t == nil {
		fail(w, http.StatusNotFound, "No activity found for task '%s'", q.Get("id"))
		return
	}
	out := map[string]any{
		"id": t.id, "type": "REPORT", "componentId": t.a.Project, "componentKey": t.a.Project, "componentName": t.a.Project, "componentQualifier": "TRK",
		"submittedAt": "2026-01-02T03:04:05+0000", "submitterLogin": "admin", "hasScannerContext": true, "warningCount": 0, "warnings": []any{}, "infoMessages": []any{},
	}
	if t.a.PullRequest != "" {
		out["pullRequest"] = t.a.PullRequest
	} else if t.a.Branch != "" {
		out["branch"], out["branchType"] = t.a.Branch, "BRANCH"
	}
	t.asked++
	pending := s.o.Pending
	if pending == 0 {
		pending = 1
	}
	switch {
	case t.a.Hang || t.asked <= pending:
		out["status"] = []string{"PENDING", "IN_PROGRESS"}[min(t.asked-1, 1)]
	case t.a.Cancel:
		out["status"] = "CANCELED"
	case t.a.Fail != "":
		out["status"], out["errorMessage"], out["errorType"] = "FAILED", t.a.Fail, "GENERIC"
	default:
		s.process(t)
		out["status"], out["analysisId"], out["executedAt"], out["executionTimeMs"] = "SUCCESS", t.analysis, "2026-01-02T03:04:06+0000", 7
	}
	reply(w, map[string]any{"task": out})
}

// process takes over an analysis as the state of its branch.
func (s *Server) process(t *task) {
	if t.done {
		return
	}
	t.done = true
	b := s.branches[branchKey{t.a.Project, t.a.Branch, t.a.PullRequest}]
	b.issues, b.hotspots, b.files = entries(t.a.Report)
	b.measures = measure(t.a.Report, b.issues, b.hotspots)
	if !t.a.Empty {
		b.measures["files"] = float64(max(1, len(b.files)))
	}
	t.gate = verdict(s.o.Gate, b.measures)
}

func (s *Server) projectStatus(w http.ResponseWriter, q url.Values) {
	if id := q.Get("analysisId"); id != "" {
		for _, t := range s.tasks {
			if t.analysis == id && t.done {
				reply(w, map[string]any{"projectStatus": t.gate})
				return
			}
		}
		fail(w, http.StatusNotFound, "Analysis with id '%s' is not found", id)
		return
	}
	if b := s.branch(w, q.Get("projectKey"), q); b != nil {
		reply(w, map[string]any{"projectStatus": verdict(s.o.Gate, b.measures)})
	}
}

// branch finds the branch or pull request a request is about, and answers with an error when there is none.
func (s *Server) branch(w http.ResponseWriter, project string, q url.Values) *branch {
	if b := s.find(project, q); b != nil {
		return b
	}
	switch {
	case !s.exists(project):
		fail(w, http.StatusNotFound, "Project '%s' not found", project)
	case q.Get("pullRequest") != "":
		fail(w, http.StatusNotFound, "Pull request '%s' in project '%s' not found", q.Get("pullRequest"), project)
	default:
		fail(w, http.StatusNotFound, "Branch '%s' in project '%s' not found", q.Get("branch"), project)
	}
	return nil
}

// mainBranch is the name of a project's main branch.
const mainBranch = "main"

// find returns the branch or pull request a request is about, nil when there is none.
func (s *Server) find(project string, q url.Values) *branch {
	name := q.Get("branch")
	if name == mainBranch && s.branches[branchKey{project: project, branch: name}] == nil {
		name = ""
	}
	return s.branches[branchKey{project, name, q.Get("pullRequest")}]
}

func (s *Server) listBranches(w http.ResponseWriter, q url.Values) {
	project := q.Get("project")
	if !s.exists(project) {
		fail(w, http.StatusNotFound, "Project '%s' not found", project)
		return
	}
	names := map[string]bool{mainBranch: true}
	for k := range s.branches {
		if k.project == project && k.pullRequest == "" {
			names[cmp.Or(k.branch, mainBranch)] = true
		}
	}
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		list = append(list, map[string]any{"name": name, "isMain": name == mainBranch, "type": "BRANCH"})
	}
	reply(w, map[string]any{"branches": list})
}

func (s *Server) exists(project string) bool {
	for k := range s.branches {
		if k.project == project {
			return true
		}
	}
	return false
}

// paging reads and checks p and ps.
func paging(w http.ResponseWriter, q url.Values) (page, size int, ok bool) {
	page, size = 1, 100
	if v := q.Get("p"); v != "" {
		page, _ = strconv.Atoi(v)
	}
	if v := q.Get("ps"); v != "" {
		size, _ = strconv.Atoi(v)
	}
	switch {
	case size < 1 || size > 500:
		fail(w, http.StatusBadRequest, "'ps' value (%d) must be less than 500", size)
	case page < 1:
		fail(w, http.StatusBadRequest, "'p' must be greater than 0")
	case page*size > maxResults:
		fail(w, http.StatusBadRequest, "Can return only the first %d results. %dth result asked.", maxResults, page*size)
	default:
		return page, size, true
	}
	return 0, 0, false
}

func cut[T any](all []T, page, size int) []T {
	from := min((page-1)*size, len(all))
	return all[from:min(from+size, len(all))]
}

// facets are the filters of an issue search that can be counted, and how an issue is counted.
var facets = map[string]func(entry) string{
	"types":      func(e entry) string { return e.kind },
	"severities": func(e entry) string { return e.severity },
	"rules":      func(e entry) string { return e.rule },
	"files":      func(e entry) string { return e.path },
}

func (s *Server) issues(w http.ResponseWriter, q url.Values) {
	page, size, ok := paging(w, q)
	if !ok {
		return
	}
	project, files := s.components(q.Get(s.renamed("componentKeys", "components")))
	all := []entry{}
	// An unknown project, branch or pull request is no error here: it has no issues.
	if b := s.find(project, q); b != nil {
		for _, e := range b.issues {
			if files == nil || files[e.path] {
				all = append(all, e)
			}
		}
	}
	matching := filter(all, q, "")
	out := map[string]any{
		"total": len(matching), "p": page, "ps": size, "effortTotal": 0,
		"paging": map[string]int{"pageIndex": page, "pageSize": size, "total": len(matching)},
	}
	list, comps, rules := []any{}, map[string]any{}, map[string]any{}
	comps[project] = map[string]any{"key": project, "enabled": true, "qualifier": "TRK", "name": project, "longName": project}
	for _, e := range cut(matching, page, size) {
		list = append(list, e.issue(project))
		rules[e.rule] = map[string]any{"key": e.rule, "name": e.name, "status": "READY"}
		if e.path != "" {
			comps[project+":"+e.path] = component(project, e.path)
		}
	}
	out["issues"], out["components"] = list, values(comps)
	if strings.Contains(q.Get("additionalFields"), "rules") {
		out["rules"] = values(rules)
	}
	counted := []any{}
	if names := q.Get("facets"); names != "" {
		for name := range strings.SplitSeq(names, ",") {
			if facets[name] == nil {
				fail(w, http.StatusBadRequest, "Value of parameter 'facets' (%s) must be one of: [files, rules, severities, types]", name)
				return
			}
			counted = append(counted, count(filter(all, q, name), name))
		}
	}
	out["facets"] = counted
	reply(w, out)
}

// renamed returns the name of a parameter that got another one in version 10.2. The real server takes both from then on;
// this one does not, so that a client which is behind is noticed.
func (s *Server) renamed(before, since string) string {
	for _, old := range []string{"8.", "9.", "10.0.", "10.1."} {
		if strings.HasPrefix(s.o.Version, old) {
			return before
		}
	}
	return since
}

// components splits a list of component keys: a project, or files of one.
func (s *Server) components(list string) (project string, files map[string]bool) {
	for key := range strings.SplitSeq(list, ",") {
		project = s.projectOf(key)
		if path, isFile := strings.CutPrefix(key, project+":"); isFile {
			if files == nil {
				files = map[string]bool{}
			}
			files[path] = true
		}
	}
	return project, files
}

// projectOf returns the project of a component. Keys of Maven projects have a colon themselves.
func (s *Server) projectOf(key string) string {
	project, _, _ := strings.Cut(key, ":")
	for k := range s.branches {
		if (k.project == key || strings.HasPrefix(key, k.project+":")) && len(k.project) > len(project) {
			project = k.project
		}
	}
	return project
}

// filter selects what a search asks for. A facet counts as if it were not itself a filter.
func filter(all []entry, q url.Values, but string) []entry {
	out := []entry{}
	for _, e := range all {
		ok := true
		for name, value := range facets {
			if want := q.Get(name); want != "" && name != but && !slices.Contains(strings.Split(want, ","), value(e)) {
				ok = false
			}
		}
		if ok {
			out = append(out, e)
		}
	}
	return out
}

// count makes a facet: the hundred most frequent values.
func count(all []entry, name string) map[string]any {
	n := map[string]int{}
	for _, e := range all {
		n[facets[name](e)]++
	}
	keys := slices.SortedFunc(maps.Keys(n), func(a, b string) int { return cmp.Or(n[b]-n[a], strings.Compare(a, b)) })
	values := []any{}
	for _, k := range keys[:min(len(keys), 100)] {
		values = append(values, map[string]any{"val": k, "count": n[k]})
	}
	return map[string]any{"property": name, "values": values}
}

func values(m map[string]any) []any {
	out := []any{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

func component(project, path string) map[string]any {
	return map[string]any{"key": project + ":" + path, "enabled": true, "qualifier": "FIL", "name": path[strings.LastIndexByte(path, '/')+1:], "longName": path, "path": path}
}

func (e entry) common(project string) map[string]any {
	out := map[string]any{
		"key": e.key, "project": project, "component": project, "message": e.message, "author": "", "flows": []any{},
		"creationDate": "2026-01-02T03:04:05+0000", "updateDate": "2026-01-02T03:04:05+0000",
	}
	if e.path != "" {
		out["component"] = project + ":" + e.path
	}
	if e.line > 0 {
		out["line"] = e.line
		out["textRange"] = map[string]int{"startLine": e.line, "endLine": e.endLine, "startOffset": 0, "endOffset": 1}
	}
	return out
}

func (e entry) issue(project string) map[string]any {
	out := e.common(project)
	maps.Copy(out, map[string]any{"rule": e.rule, "severity": e.severity, "type": e.kind, "status": "OPEN", "issueStatus": "OPEN", "tags": []any{}, "effort": "2min", "debt": "2min"})
	return out
}

func (e entry) hotspot(project string) map[string]any {
	out := e.common(project)
	probability := map[string]string{"BLOCKER": "HIGH", "CRITICAL": "HIGH", "MAJOR": "MEDIUM"}[e.severity]
	maps.Copy(out, map[string]any{"ruleKey": e.rule, "status": "TO_REVIEW", "securityCategory": "others", "vulnerabilityProbability": cmp.Or(probability, "LOW")})
	return out
}

func (s *Server) hotspots(w http.ResponseWriter, q url.Values) {
	page, size, ok := paging(w, q)
	if !ok {
		return
	}
	project := cmp.Or(q.Get("project"), q.Get("projectKey")) // the real one takes both, and warns of the older one
	b := s.branch(w, project, q)
	if b == nil {
		return
	}
	list, comps := []any{}, map[string]any{}
	for _, e := range cut(b.hotspots, page, size) {
		list = append(list, e.hotspot(project))
		if e.path != "" {
			comps[e.path] = component(project, e.path)
		}
	}
	reply(w, map[string]any{
		"paging": map[string]int{"pageIndex": page, "pageSize": size, "total": len(b.hotspots)}, "hotspots": list, "components": values(comps),
	})
}

func (s *Server) tree(w http.ResponseWriter, q url.Values) {
	page, size, ok := paging(w, q)
	if !ok {
		return
	}
	project := q.Get("component")
	b := s.branch(w, project, q)
	if b == nil {
		return
	}
	list := []any{}
	for _, f := range cut(b.files, page, size) {
		list = append(list, component(project, f))
	}
	reply(w, map[string]any{"paging": map[string]int{"pageIndex": page, "pageSize": size, "total": len(b.files)}, "components": list})
}

func (s *Server) measures(w http.ResponseWriter, q url.Values) {
	project := q.Get("component")
	b := s.branch(w, project, q)
	if b == nil {
		return
	}
	list := []any{}
	for name := range strings.SplitSeq(q.Get("metricKeys"), ",") {
		if v, ok := b.measures[name]; ok {
			list = append(list, map[string]any{"metric": name, "value": number(v)})
		}
	}
	reply(w, map[string]any{"component": map[string]any{"key": project, "name": project, "qualifier": "TRK", "measures": list}})
}
