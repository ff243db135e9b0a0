package notify

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a shortened message always keeps: the title, and the first links as long as they fit in here.
const (
	keepTitle = 150  // bytes
	keepLinks = 3000 // bytes of URLs; links are kept whole or not at all
)

// shortened stands at the end of a message that lost something.
const shortened = "This message was shortened."

// Fit encodes m for a channel that takes at most limit bytes. If m is too long, texts are cut, the less
// important ones first, until it fits; the title and the first links stay. Cutting comes before encoding,
// so markup stays whole. cut reports whether anything was lost. When even the shortest form does not fit the
// error is an [*Error] of kind [ErrTooLarge].
//
// encode is called several times; it has to give about the same size for about the same message.
func Fit(m Message, limit int, encode func(Message) ([]byte, error)) (body []byte, cut bool, err error) {
	body, err = encode(m)
	if err != nil || len(body) <= limit {
		return body, false, err
	}
	total := 0
	m.eachText(func(s *string) { total += len(*s) })
	low, high := 0, min(total, limit) // low fits or is the last hope, high does not fit
	if body, err = encode(m.Shorten(0)); err != nil {
		return nil, true, err
	}
	if len(body) > limit {
		return nil, true, &Error{
			Op: "encode", Target: "message", Kind: ErrTooLarge,
			Err: fmt.Errorf("its shortest form has %d bytes, the channel takes %d", len(body), limit),
		}
	}
	for high-low > 16 {
		middle := (low + high) / 2
		b, err := encode(m.Shorten(middle))
		if err != nil {
			return nil, true, err
		}
		if len(b) <= limit {
			low, body = middle, b
		} else {
			high = middle
		}
	}
	return body, true, nil
}

// Shorten returns a copy of m whose texts have at most n bytes together, apart from the title (cut to 150
// bytes) and the first links. Texts are cut between characters and end in "…"; what is left empty goes, and a
// last line says that something is missing. A message within n is returned as it is.
func (m Message) Shorten(n int) Message {
	total := 0
	m.eachText(func(s *string) { total += len(*s) })
	if total <= n {
		return m
	}
	m = m.clone()
	title, links := Truncate(m.Title, keepTitle), keptLinks(m.Links)
	m.Title, m.Links = "", nil
	m.eachText(func(s *string) {
		*s = Truncate(*s, n)
		n -= len(*s)
	})
	m.Title, m.Links = title, links
	m.Fields = dropEmpty(m.Fields)
	for i := range m.Sections {
		m.Sections[i].Fields = dropEmpty(m.Sections[i].Fields)
	}
	m.Sections = slices.DeleteFunc(m.Sections, func(s Section) bool { return s.Text == "" && len(s.Fields) == 0 })
	m.Sections = append(m.Sections, Section{Text: shortened})
	m.Attachments = slices.DeleteFunc(m.Attachments, func(a Attachment) bool { return a.Name == "" })
	return m
}

func dropEmpty(fields []Field) []Field {
	return slices.DeleteFunc(fields, func(f Field) bool { return f.Value == "" })
}

func keptLinks(links []Link) []Link {
	var kept []Link
	left := keepLinks
	for _, l := range links {
		if left -= len(l.URL); left < 0 {
			break
		}
		kept = append(kept, Link{Text: Truncate(l.Text, 75), URL: l.URL})
	}
	return kept
}

// Truncate cuts s to at most n bytes, between characters, and ends it in "…" if something was cut. Marks that
// belong to a character (accents, joined emoji) are not parted from it. Invalid UTF-8 becomes U+FFFD.
func Truncate(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	const ellipsis = "…"
	if n < len(ellipsis) {
		return ""
	}
	end := n - len(ellipsis)
	for end > 0 && (!utf8.RuneStart(s[end]) || joins(s, end)) {
		end--
	}
	return strings.TrimRightFunc(s[:end], unicode.IsSpace) + ellipsis
}

const zeroWidthJoiner = '\u200d'

// joins reports whether the character at i belongs to the one before it.
func joins(s string, i int) bool {
	next, _ := utf8.DecodeRuneInString(s[i:])
	last, _ := utf8.DecodeLastRuneInString(s[:i])
	return last == zeroWidthJoiner || next == zeroWidthJoiner || unicode.Is(unicode.M, next) ||
		next >= 0x1F3FB && next <= 0x1F3FF // skin tones
}
