'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const el = (tag, text, cls) => {
    const e = document.createElement(tag);
    if (text !== undefined) e.textContent = text;
    if (cls) e.className = cls;
    return e;
  };

  $('theme').addEventListener('click', () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === 'dark' ||
      (!document.documentElement.dataset.theme && matchMedia('(prefers-color-scheme: dark)').matches);
    document.documentElement.dataset.theme = dark ? 'light' : 'dark';
  });

  const data = JSON.parse($('data').textContent);
  const SEV = ['unknown', 'info', 'low', 'medium', 'high', 'critical'];
  const rows = data.findings;
  for (let i = 0; i < rows.length; i++) {
    const f = rows[i];
    f.i = i;
    f.rule = data.rules[f.r] || {};
    f.place = f.p ? f.p + (f.l ? ':' + f.l : '') : f.k ? (f.k.n + ' ' + (f.k.v || '')).trim() : (f.g || '');
    f.text = [f.rule.id, f.t, f.m, f.place, f.g, f.k && f.k.n, f.k && f.k.u, data.tools[f.o], f.st,
      (f.w || []).join(' '), (f.a || []).join(' ')].join('\n').toLowerCase();
  }

  // What is shown: filters, search words (all must occur) and the order.
  const on = new Set(SEV);
  let shown = rows;
  let sort = { key: 's', down: true };
  const keys = {
    s: (f) => f.s * 100 + (f.c || 0),
    r: (f) => f.rule.id || '',
    m: (f) => f.m || f.t || '',
    p: (f) => f.place,
    o: (f) => data.tools[f.o],
  };

  // Digits sort as numbers: file10 comes behind file9. A collator is far quicker than localeCompare.
  const collator = new Intl.Collator('en', { numeric: true });

  function apply() {
    const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const tool = $('tool').value, state = $('state').value, fix = $('fix').checked, off = $('off').checked;
    shown = rows.filter((f) =>
      on.has(SEV[f.s]) &&
      (off || !f.x) &&
      (state ? f.st === state : off || f.st !== 'absent') &&
      (!tool || String(f.o) === tool) &&
      (!fix || (f.k && f.k.f)) &&
      words.every((w) => f.text.includes(w)));
    const key = keys[sort.key], sign = sort.down ? -1 : 1;
    const keyed = shown.map((f) => [key(f), f]);
    keyed.sort((a, b) => {
      const c = typeof a[0] === 'number' ? a[0] - b[0] : collator.compare(a[0], b[0]);
      return c ? sign * c : a[1].i - b[1].i;
    });
    shown = keyed.map((k) => k[1]);
    $('count').textContent = shown.length.toLocaleString('en') + ' of ' + rows.length.toLocaleString('en') + ' findings';
    $('scroll').scrollTop = 0;
    draw(true);
  }

  // Only the rows in sight are in the page: two spacers stand for those above and below.
  const phone = matchMedia('(max-width: 700px)');
  const body = $('rows');
  let from = -1, to = -1, opened = null;

  function draw(force) {
    const top = $('scroll').scrollTop, height = rowHeight();
    const first = Math.max(0, Math.floor(top / height) - 15);
    const last = Math.min(shown.length, Math.ceil((top + innerHeight) / height) + 15);
    if (!force && first === from && last === to) return;
    from = first; to = last;
    const all = [spacer(first)];
    for (let n = first; n < last; n++) all.push(row(shown[n], n));
    all.push(spacer(shown.length - last));
    body.replaceChildren(...all);
    $('findings').setAttribute('aria-rowcount', shown.length + 1);
  }

  function rowHeight() { return phone.matches ? 84 : 35; } // as in the style

  function spacer(n) {
    const tr = el('tr', undefined, 'spacer');
    const td = el('td');
    td.colSpan = 5;
    td.style.height = n * rowHeight() + 'px';
    tr.append(td);
    return tr;
  }

  function row(f, n) {
    const tr = el('tr');
    tr.dataset.i = f.i;
    tr.tabIndex = 0;
    tr.setAttribute('aria-rowindex', n + 2);
    if (f.x || f.st === 'absent') tr.classList.add('off');
    if (f === opened) tr.classList.add('open');
    const sev = el('td');
    sev.append(el('span', SEV[f.s], 'sev ' + SEV[f.s]));
    const rule = el('td', f.rule.id || '(no rule)');
    const msg = el('td', f.m || f.t || '');
    if (f.st) msg.append(el('span', f.st, 'badge'));
    if (f.x) msg.append(el('span', 'suppressed', 'badge'));
    const place = el('td', f.place);
    place.title = f.place;
    tr.append(sev, rule, msg, place, el('td', data.tools[f.o]));
    return tr;
  }

  function link(href) {
    if (!/^https?:\/\//i.test(href || '')) return null;
    const a = el('a', href);
    a.href = href;
    a.rel = 'noopener noreferrer';
    return a;
  }

  function show(f) {
    opened = f;
    const box = $('detail');
    box.className = SEV[f.s];
    box.hidden = false;
    const dl = el('dl');
    const add = (name, value) => {
      if (!value || value.length === 0) return;
      const dd = el('dd');
      dd.append(value);
      dl.append(el('dt', name), dd);
    };
    add('Severity', SEV[f.s] + (f.c ? ' (' + f.c + ')' : ''));
    add('Tool', data.tools[f.o]);
    add('Place', f.place);
    add('In', f.g !== f.place ? f.g : '');
    if (f.k) {
      add('Package', f.k.n + (f.k.v ? ' ' + f.k.v : ''));
      add('Fixed in', f.k.f);
      add('Package URL', f.k.u);
    }
    add('Weakness', (f.w || []).join(', '));
    add('Also known as', (f.a || []).join(', '));
    add('State', f.st);
    add('Suppressed', f.x && (f.x.r || 'no reason given') + (f.x.b ? ', by ' + f.x.b : '') + (f.x.e ? ', until ' + f.x.e : ''));
    add('Said by', (f.b || []).join(', '));
    add('More', link(f.rule.u));
    const all = [el('h3', (f.rule.id ? f.rule.id + ': ' : '') + (f.t || f.rule.t || '')), el('p', f.m || ''), dl];
    if (f.n) all.push(el('pre', f.n));
    if (f.rule.d) all.push(el('p', f.rule.d, 'dim'));
    box.replaceChildren(...all);
    draw(true);
    box.scrollIntoView({ block: 'nearest' });
  }

  body.addEventListener('click', (e) => {
    const tr = e.target.closest('tr[data-i]');
    if (tr) show(rows[tr.dataset.i]);
  });
  body.addEventListener('keydown', (e) => {
    const tr = e.target.closest('tr[data-i]');
    if (!tr) return;
    if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); show(rows[tr.dataset.i]); }
    const next = e.key === 'ArrowDown' ? tr.nextElementSibling : e.key === 'ArrowUp' ? tr.previousElementSibling : null;
    if (next && next.dataset.i) { e.preventDefault(); next.focus(); }
  });
  $('scroll').addEventListener('scroll', () => requestAnimationFrame(() => draw(false)));
  addEventListener('resize', () => draw(true));
  for (const id of ['tool', 'state', 'fix', 'off']) $(id).addEventListener('change', apply);
  let typing;
  $('search').addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(apply, 80); });
  for (const b of document.querySelectorAll('button.figure[data-sev]')) {
    b.addEventListener('click', () => {
      const s = b.dataset.sev;
      if (on.has(s)) on.delete(s); else on.add(s);
      b.setAttribute('aria-pressed', String(on.has(s)));
      apply();
    });
  }
  for (const th of document.querySelectorAll('#findings th[data-key]')) {
    th.querySelector('button').addEventListener('click', () => {
      const key = th.dataset.key;
      sort = { key, down: sort.key === key ? !sort.down : key === 's' };
      for (const o of document.querySelectorAll('#findings th')) o.removeAttribute('aria-sort');
      th.setAttribute('aria-sort', sort.down ? 'descending' : 'ascending');
      apply();
    });
  }
  data.tools.forEach((name, i) => {
    const o = el('option', name);
    o.value = String(i);
    $('tool').append(o);
  });
  document.documentElement.classList.add('ready');
  apply();
})();
