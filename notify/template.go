package notify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
)

// Template makes messages from data. It is a Message whose strings are text/template templates; what they
// yield is plain text, which each channel escapes, so data cannot become markup. Only links need more: their
// URLs are checked, so data cannot smuggle in another scheme.
type Template struct {
	m     Message
	parse map[string]*template.Template // by source
}

// ParseTemplate parses every string of m. A field of the data that is missing is an error when rendering,
// never "<no value>". All mistakes are reported at once, as an [*Error] of kind [ErrInvalid].
func ParseTemplate(m Message) (*Template, error) {
	t := &Template{m: m.clone(), parse: map[string]*template.Template{}}
	var errs []error
	t.m.eachTemplate(func(s *string) {
		parsed, err := template.New("message").Option("missingkey=error").Parse(*s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", Truncate(*s, 60), err))
		}
		t.parse[*s] = parsed
	})
	if len(errs) > 0 {
		return nil, invalid("parse", "template", errors.Join(errs...))
	}
	return t, nil
}

// Render executes the templates with data and checks the message they make. Line breaks in what has to be one
// line become spaces; fields, links and sections that come out empty are left out.
func (t *Template) Render(data any) (Message, error) {
	m := t.m.clone()
	left := MaxTextBytes
	var errs []error
	m.eachTemplate(func(s *string) {
		out := &cappedText{left: left}
		if err := t.parse[*s].Execute(out, data); err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", Truncate(*s, 60), err))
		}
		*s, left = out.String(), out.left
	})
	if len(errs) > 0 {
		return Message{}, invalid("render", "template", errors.Join(errs...))
	}
	for _, s := range []*string{&m.Title, (*string)(&m.Outcome), &m.Environment, &m.Component, &m.CorrelationID, &m.Key} {
		*s = strings.Join(strings.Fields(*s), " ")
	}
	m.Fields = dropEmpty(m.Fields)
	m.Links = slices.DeleteFunc(m.Links, func(l Link) bool { return l.URL == "" })
	for i := range m.Sections {
		m.Sections[i].Title = strings.Join(strings.Fields(m.Sections[i].Title), " ")
		m.Sections[i].Fields = dropEmpty(m.Sections[i].Fields)
	}
	m.Sections = slices.DeleteFunc(m.Sections, func(s Section) bool { return s.Text == "" && len(s.Fields) == 0 })
	return m, m.Validate()
}

// eachTemplate is eachText with the key.
func (m *Message) eachTemplate(f func(s *string)) {
	m.eachText(f)
	f(&m.Key)
}

// clone copies all that eachText points into.
func (m Message) clone() Message {
	m.Fields, m.Links, m.Attachments = slices.Clone(m.Fields), slices.Clone(m.Links), slices.Clone(m.Attachments)
	m.Sections = slices.Clone(m.Sections)
	for i := range m.Sections {
		m.Sections[i].Fields = slices.Clone(m.Sections[i].Fields)
	}
	return m
}

// cappedText is a string builder that refuses to grow past its cap, so that a template cannot eat all memory.
type cappedText struct {
	strings.Builder
	left int
}

func (c *cappedText) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		return 0, fmt.Errorf("the text is larger than the cap of %d bytes", MaxTextBytes)
	}
	return c.Builder.Write(p)
}
