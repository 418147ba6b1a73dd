// Reading codes by the camera, and tags by NFC, where the phone has them.

const EACH_MS = 150;
const WIDE = 1024;
const FORMATS = ["qr_code", "data_matrix", "code_128", "code_39", "ean_13", "itf"];

export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);
export const hasNfc = () => "NDEFReader" in window;

async function detector() {
  if ("BarcodeDetector" in window) {
    const known = await BarcodeDetector.getSupportedFormats().catch(() => []);
    const formats = FORMATS.filter((one) => known.includes(one));
    if (formats.includes("qr_code")) {
      const native = new BarcodeDetector({ formats });
      return async (video) => (await native.detect(video))[0]?.rawValue ?? null;
    }
  }
  return zxing();
}

function zxing() {
  const { BarcodeFormat, BinaryBitmap, DecodeHintType, HybridBinarizer, MultiFormatReader, RGBLuminanceSource } = ZXing;
  const formats = FORMATS.map((one) => BarcodeFormat[one.toUpperCase()]);
  const reader = new MultiFormatReader();
  reader.setHints(new Map([[DecodeHintType.POSSIBLE_FORMATS, formats], [DecodeHintType.TRY_HARDER, true]]));
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return async (video) => {
    const scale = Math.min(1, WIDE / video.videoWidth);
    [canvas.width, canvas.height] = [Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale)];
    context.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const grey = new Uint8ClampedArray(data.length / 4);
    for (let at = 0; at < grey.length; at += 1) {
      grey[at] = (data[4 * at] * 77 + data[4 * at + 1] * 151 + data[4 * at + 2] * 28) >> 8;
    }
    try {
      const source = new RGBLuminanceSource(grey, canvas.width, canvas.height);
      return reader.decodeWithState(new BinaryBitmap(new HybridBinarizer(source))).getText();
    } catch {
      return null; // no code in this picture
    }
  };
}

// Watches until `stop` is called; the same code again counts after it was out of sight.
export async function watch(video, seen) {
  const wanted = { video: { facingMode: "environment", width: { ideal: 1280 } }, audio: false };
  const stream = await navigator.mediaDevices.getUserMedia(wanted);
  video.srcObject = stream;
  video.setAttribute("playsinline", "");
  video.muted = true;
  await video.play();
  const detect = await detector();
  let running = true;
  let last = null;
  const look = async () => {
    if (!running) return;
    const found = video.videoWidth ? await detect(video).catch(() => null) : null;
    if (running && found && found !== last) seen(found);
    last = found;
    setTimeout(look, EACH_MS);
  };
  look();
  return () => {
    running = false;
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
  };
}

export async function listenNfc(seen) {
  const controller = new AbortController();
  const reader = new NDEFReader();
  reader.addEventListener("reading", (event) => seen(event.serialNumber));
  await reader.scan({ signal: controller.signal });
  return () => controller.abort();
}

// A picture as JPEG of a bounded size, with its digest.
export async function picture(file, hex) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, 1600 / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.8));
  const raw = await blob.arrayBuffer();
  const sha256 = hex(await crypto.subtle.digest("SHA-256", raw));
  return { file: `${sha256.slice(0, 12)}.jpg`, sha256, size_bytes: raw.byteLength, raw };
}

export const position = () =>
  new Promise((resolve, reject) => {
    const taken = ({ coords }) => {
      const round = (number) => Math.round(number * 1e6) / 1e6;
      resolve({
        latitude: round(coords.latitude), longitude: round(coords.longitude),
        accuracy_m: Math.round(coords.accuracy * 10) / 10,
      });
    };
    navigator.geolocation.getCurrentPosition(taken, reject, { enableHighAccuracy: true, timeout: 15_000 });
  });
