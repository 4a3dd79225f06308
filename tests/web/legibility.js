// Returns what of a page cannot be read well: text whose contrast is below 4.5 (WCAG AA), and controls without a name.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (below, [red, green, blue, alpha]) => [red, green, blue].map((each, at) => below[at] * (1 - alpha) + each * alpha);
  const background = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) {
      layers.push(rgba(getComputedStyle(each).backgroundColor));
      if (layers.at(-1)[3] > 0.99) break;
    }
    return layers.reverse().reduce(over, [255, 255, 255]);
  };
  const luminance = (color) => {
    const [red, green, blue] = color.map((each) => (each / 255 <= 0.03928 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const faults = [];
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    const style = getComputedStyle(element);
    if (!hasText || style.visibility === "hidden" || !element.getClientRects().length || element.closest("svg")) continue;
    const below = background(element);
    const lights = [luminance(over(below, rgba(style.color))), luminance(below)].sort((one, other) => one - other);
    const contrast = (lights[1] + 0.05) / (lights[0] + 0.05);
    if (contrast < 4.5) faults.push(`${contrast.toFixed(2)}: ${element.outerHTML.slice(0, 90)}`);
  }
  for (const control of document.querySelectorAll("input:not([type=hidden]), select, button, a, progress, meter")) {
    const name = control.labels?.length || control.ariaLabel || control.textContent.trim() || control.title;
    if (!name) faults.push(`no name: ${control.outerHTML.slice(0, 90)}`);
  }
  return faults;
}
