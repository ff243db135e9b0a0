// Package report holds what scanners, tests and coverage tools say, in one shape: read it, merge it, compare
// it with yesterday's, suppress what was accepted, gate on it, write it.
//
// A [Report] fits in memory; a [File] is a SARIF file of any size. Both are a [Source], and everything here
// takes and returns sources, so nothing needs to know which it has:
//
//	now → [Join] → [Dedupe] → [Compare] with before → [Suppress] → [Policy.Gate], [Summarize], [Trim], [WriteSARIF], [WriteCSV], [WriteJSONLines]
//
// The readers of other formats are in report/format, the writers of HTML, Markdown, JUnit, Cobertura, GitLab
// and CI systems in the packages beside it. The interchange format is SARIF 2.1.0 (OASIS standard with Errata
// 01); members this package does not know survive reading and writing. [LintSARIF] says what is wrong with a
// SARIF file, why GitHub would refuse it, and why the Scans tab of Azure Pipelines would be empty.
//
// # Fail closed
//
// A tool that broke, was cut short or wrote no list of results is not a tool that found nothing. Reading its
// report succeeds, [Run].Status says so, and [Policy.Gate] fails. A file that is empty or truncated is an
// error. Results that make no sense are findings all the same, and counted in Head.Unplaced. Findings whose
// severity nobody knows are meant by every policy. Joining findings never makes them milder.
//
// # Severity
//
// One scale for all tools; [Finding].SeverityFrom says by which rule it was found. In this order: a number meant
// for it (GitHub's security-severity), the word of the tool, which may know better than a score (a distribution
// that grades a CVE for its own build), a CVSS score, a CVSS vector (version 2 to 4, base metrics), the level.
// Numbers go by the bands of CVSS 3 and GitHub. A secret that nobody graded is high. A result of kind pass,
// notApplicable or informational is info.
//
// # Secrets
//
// A finding about a secret never holds the secret: readers pass it to [Finding.SetSecret], which masks it in
// every text of the finding and keeps, when the caller gave a key, an HMAC to know it again. In SARIF the
// secret is what the tool quotes as the text of the region; it is masked in the whole result, and what
// gitleaks writes about the author of a commit is left out. Names and passwords in web addresses are masked
// everywhere.
//
// # Size and speed
//
// Findings of a file stream: read, cut, decoded on all processors, yielded in order. What stays in memory
// is the description of the runs (rules, paths of artifacts), 16 bytes for each finding of the run that is
// being read, and 16 to 32 bytes for each finding where two reports are held against each other ([Dedupe],
// [Compare]). A single part of a log (a result, the tool with its rules) is capped by Options.MaxValueBytes,
// a report read into memory by Options.MaxBytes, nesting by 10,000, runs by 10,000, the rules of a run by
// 200,000 and its artifacts by 1,000,000.
//
// Measured with go test -bench on two cores, each operation in a process of its own that writes its output to
// disk: two files of 52 MB and 50,000 results each, the second with every line moved by two, and one of 2 GB.
// Wall time and peak of memory on idle cores, peers in the same run; the lines marked so were measured on busy ones,
// as seconds of processor time of both cores together:
//
//	                       waybill           go-sarif 2.3.3    SARIF Multitool 5.7.0
//	merge and dedupe       0.73 s   30 MB                      12.4 s  3015 MB
//	compare                0.89 s   28 MB                       9.6 s   603 MB
//	read and write one     0.37 s   24 MB    1.24 s  343 MB
//	gate 2 GB              15.5 s  117 MB    (busy)
//	trim 2 GB              37.8 s  119 MB    (busy)
//	examples/normalize      7.0 s   51 MB    (busy)
//
// The last line is the whole program: two files joined and deduplicated, all nine outputs.
//
// The goals are in wall time: 1.2 s and 150 MB for merge and dedupe, 1.2 s and 200 MB for compare, less time than
// go-sarif in a quarter of its memory, 200 MB for 2 GB, 6 s and 300 MB for the program. All are met but the last
// one's time, which was not measured on an idle machine. Of the 50,000 moved results Compare finds all unchanged.
//
// # Errors
//
// All errors are of type [*Error] and wrap one of [ErrEmpty], [ErrTruncated], [ErrSyntax],
// [ErrUnknownFormat], [ErrUnsupported], [ErrTooLarge] and [ErrInvalid], or the error of the reader, writer or
// context that failed.
package report
