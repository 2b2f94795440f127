// Chooses the theme before the first paint: a blocking file in the head, because the content security policy allows no inline script.
// The choice is the cookie `theme`; without one the system decides.
(() => {
  const chosen = /(?:^|; )theme=(dark|light)(?:;|$)/.exec(document.cookie);
  const system = matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
  document.documentElement.dataset.theme = chosen ? chosen[1] : system;
})();
