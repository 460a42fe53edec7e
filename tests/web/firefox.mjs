// What people do on the page, in a real Firefox over WebDriver BiDi: node firefox.mjs FIREFOX ADDRESS PHOTO...
//
// Prints one line of JSON: the answer of the server, the answer of this device, a batch, and what the console said. Run by
// test_firefox.py, which says what each has to be.

import puppeteer from "puppeteer-core";

const [executablePath, address, ...photos] = process.argv.slice(2);
const TIMEOUT_MS = 120_000;
const browser = await puppeteer.launch({ browser: "firefox", executablePath, headless: true, timeout: TIMEOUT_MS, protocolTimeout: TIMEOUT_MS });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(TIMEOUT_MS);
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.setViewport({ width: 1280, height: 800 });
  await page.goto(address);
  await page.waitForSelector('#status[data-state="ready"]');
  const text = (selector) => page.$eval(selector, (node) => node.textContent.replaceAll("\u00a0", " ").trim());
  const choose = async (...files) => (await page.$("#files")).uploadFile(...files);
  const answered = (name) =>
    page.waitForFunction(
      (name) => document.getElementById("photo-name").textContent === name && document.getElementById("stage").dataset.state === "answered",
      {},
      name,
    );
  const nameOf = (path) => path.split("/").pop();
  const answer = async () => ({ verdict: await text("#verdict"), by: await text("#verdict-by"), heat: await page.$eval("#photo", (photo) => photo.getAttribute("aria-label")) });

  await page.waitForSelector("#example:not([data-waiting])");
  const example = await text("#example-answer");
  await choose(photos[0]);
  await answered(nameOf(photos[0]));
  const server = await answer();

  await page.click('#where label:has([value="browser"])');
  await page.waitForFunction(() => document.getElementById("where-note").textContent.startsWith("The model is loaded"));
  await choose(photos[1]);
  await answered(nameOf(photos[1]));
  const device = await answer();

  await choose(...photos);
  await page.waitForSelector("#batch-json", { visible: true });
  const batch = await text("#batch-state");
  await page.click("#crop");
  await page.waitForSelector(".crop-box");
  const crop = await page.$$eval(".crop-box", (boxes) => boxes.length);
  console.log(JSON.stringify({ version: await browser.version(), example, server, device, batch, crop, errors }));
} finally {
  await browser.close();
}
